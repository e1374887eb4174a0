"""The table of what is masked in texts: names of secrets, and the rules by which values are known.

Every rule is a regular expression of RE2 in three parts: the value is masked, `head` before and `tail` behind it stay. So the
time is linear in the text whatever it holds. A rule may ask a check beside the form: it is made in Python, of texts that match.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from data_contracts.values.mask_checks import (
    Candidate,
    follows_scheme,
    is_authorization,
    is_cookie,
    is_flag_value,
    is_login,
    is_mail_address,
    is_named_value,
    is_new,
    is_pair_value,
    is_quoted_value,
    is_stated_card,
    is_stated_iban,
    is_url_password,
)


@dataclass(frozen=True, slots=True)
class MaskRule:
    """`value` is masked where `head` stands before it and `tail` behind it, if `check` agrees. No part has capturing groups.

    `sign` matches wherever the rule does, and is compiled faster: a long expression takes longer to compile than to search
    hundreds of lines, and Arrow compiles it each time. "" = the rule itself is short.
    """

    name: str
    head: str
    value: str
    check: Callable[[Candidate], bool] | None = None
    tail: str = ""
    sign: str = ""

    @property
    def suspicion(self) -> str:
        """Return the expression that tells which texts are looked at closer."""
        return self.sign or self.pattern

    @property
    def pattern(self) -> str:
        """Return the expression, with the parts as its first groups."""
        return f"({self.head})({self.value})({self.tail})"


_CORES: Final = (
    r"(?:passw(?:or[dt])?s?|passwds?|kennwort|passphrases?|passcodes?|pwd|secrets?|tokens?|cookies?|credentials?|creds"
    r"|(?:api|access|private|encryption)[_\-. ]?keys?|(?:account|signing|master|shared|auth|ssh|subscription|storage)[_\-.]?keys?"
    r"|sess(?:ion)?(?:[_\-]?id|[_\-.]?key)|(?:amz|goog)-signature)(?:[_\-.]?(?:key|value|hash|text))?"
)
_SHORT: Final = r"(?:\b|_)(?:pass|pw)|[a-z](?-i:Pass|Pw)"
SECRET_NAME_END: Final = rf"(?i)(?:{_CORES}|{_SHORT}|\bauthorization)"
"""How a name of a secret ends; only such names are known, and every one of these is taken for a secret's."""

_NAME: Final = rf"(?i)(?:{_CORES}|{_SHORT})"
_SIGN: Final = r"[ \t]*(?:=>|:=|[:=])[ \t]*"
_NAMED: Final = rf"{_NAME}(?:\\*[\"'])?{_SIGN}"
"""A name, the quote behind it (escaped within JSON), and the sign before the value, all in a line."""

NAME_SIGN: Final = (
    rf"""{_NAME}(?:\\*["']|[ \t]*[:=]|%3d|>)|\bauthorization\\*["']"""
    rf"""|(?:(?:^|[\s"'=(\[])--?|<)[\w.:\-]*{_NAME}\s"""
)
"""What stands behind the name of a secret in every rule of names; before white space that is a flag's or an element's name."""
_HEADER_SIGN: Final = r"""(?i)\bauthorization(?:\\*["'])?[ \t]*[:=]"""

_UNQUOTED: Final = (
    r"""(?:[^\s"'\\\[{}\])>=,;&|]|\\[^\s"'\\])(?:(?:[^\s"'\\}\])>]|\\[^\s"'\\])*(?:[^\s"'\\}\])>,;]|\\[^\s"'\\]))?"""
)
"""A value without quotes: to white space, a quote or a closing bracket; a comma at its end stays."""

_SECRETS: Final = (
    # Keys in PEM and PGP, to the end of the text where it was cut.
    MaskRule(
        "private_key",
        "",
        r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----(?s:.*?)(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\z)",
        sign="PRIVATE KEY",
    ),
    # scheme://user:password@host: to the last @ before a slash; else, where a password holds one, before white space.
    MaskRule("url_password", r"""://[^\s/:@"'?#]*:""", r"""(?:[^\s/?#"'<>\\]+|[^\s"'<>\\]+)""", is_url_password, "@"),
    # Authorization: to the end of the line or the quote, whatever the scheme.
    MaskRule(
        "authorization",
        r"""(?i)\bauthorization(?:\\*["'])?[ \t]*(?:=>|[:=])[ \t]*\[?[ \t]*(?:\\*["'])?(?:digest|aws4-hmac-sha256)[ \t]+""",
        r"[^\r\n\[][^\r\n]*",
        is_new,
        sign=_HEADER_SIGN,
    ),
    MaskRule(
        "authorization",
        r"""(?i)\bauthorization(?:\\*["'])?[ \t]*(?:=>|[:=])[ \t]*\[?[ \t]*(?:\\*["'])?(?:[a-z][\w\-]*[ \t]+)?""",
        r"""[^\s"'\\\[\]{}<>]+""",
        is_authorization,
        sign=_HEADER_SIGN,
    ),
    # A scheme without the header's name: only before what looks like a credential.
    MaskRule("authorization", r"(?i)\b(?:bearer|basic|digest)[ \t]+", r"[A-Za-z0-9._~+/=\-]{8,}", follows_scheme),
    # Cookie and Set-Cookie: the rest of the line or to the quote.
    MaskRule("cookie", r"""(?i)\bcookie(?:\\*["'])?[ \t]*[:=][ \t]*\[?[ \t]*(?:\\*["'])?""", r"""[^\r\n"\\\[{]+""", is_cookie),
    MaskRule("json_token", "", r"\beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]*"),
    # Forms of providers' keys.
    MaskRule(
        "provider_key",
        "",
        r"\b(?:(?:AKIA|ASIA)[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,}|glpat-[A-Za-z0-9_\-]{20,}"
        r"|xox[abeoprs]-[A-Za-z0-9\-]{10,}|AIza[0-9A-Za-z_\-]{35}|[rs]k_(?:live|test)_[0-9A-Za-z]{16,}"
        r"|sk-(?:proj|ant|svcacct|admin)-[A-Za-z0-9_\-]{10,}|SG\.[A-Za-z0-9_\-]{10,}\.[A-Za-z0-9_\-]{10,}"
        r"|npm_[A-Za-z0-9]{20,}|hf_[A-Za-z0-9]{20,}|dckr_pat_[A-Za-z0-9_\-]{16,})",
        sign=r"\b(?:AKIA|ASIA|gh[pousr]_|github_pat_|glpat-|xox[abeoprs]-|AIza|[rs]k_(?:live|test)_|sk-(?:proj|ant|svcacct|admin)-|SG\."
        r"|npm_|hf_|dckr_pat_)",
    ),
    MaskRule("provider_key", r"hooks\.slack\.com/(?:services|workflows|triggers)/", r"[A-Za-z0-9_/]+"),
    # Signatures in queries (Azure), and secrets' names in them: & ends the value there.
    MaskRule("query_secret", r"(?i)[?&;]sig=", r"""[^\s&"'#<>\[][^\s&"'#<>]*"""),
    MaskRule("query_secret", rf"[?&][\w.\-]*{_NAME}=", r"""[^\s&"'#<>\[\\][^\s&"'#<>\\]*""", sign=NAME_SIGN),
    # Elements and attributes of XML and HTML.
    MaskRule("element_secret", rf"<[\w.:\-]*{_NAME}(?:\s[^<>]*)?>", r"[^<\[][^<]*", sign=NAME_SIGN),
    MaskRule(
        "element_secret",
        rf"""\b(?:name|key|id)=["'][\w.\-]*{_NAME}["'][^<>]{{0,200}}?\bvalue=["']""",
        r"""[^"'\[][^"']*""",
        sign=NAME_SIGN,
    ),
    # SQL.
    MaskRule(
        "statement_secret",
        r"""(?i)\bidentified[ \t]+(?:with[ \t]+\S+[ \t]+)?(?:by|as)[ \t]+(?:password[ \t]+)?["']""",
        r"""[^"'\[][^"']*""",
    ),
    MaskRule("statement_secret", r"(?i)\bpassword(?:[ \t]+|[ \t]*\([ \t]*)'", r"[^'\[][^']*"),
    # Command lines, as one text or as a list of arguments.
    MaskRule(
        "argument_secret",
        r"""(?:^|[\s"'])(?:-u|--user)(?:[ \t=]+["']?|["'],[ \t]*["'])[^\s:"'/]+:""",
        r"""[^\s"'\[]+""",
        is_login,
    ),
    MaskRule(
        "argument_secret",
        r"\b(?:mysql|mariadb)[\w\-]*[ \t](?:[^\r\n|;]{0,200}?[ \t])?-p",
        r"""[^\s"'\[]+""",
        sign=r"\b(?:mysql|mariadb)[\w\-]*[ \t]",
    ),
    MaskRule("argument_secret", r"\bsshpass[ \t]+-p[ \t]*", r"""[^\s"'\[]+"""),
    MaskRule(
        "argument_secret",
        rf"""(?:^|[\s"'=(\[])--?[\w.\-]*{_NAME}(?:[ \t]+(?:\\*["'])?|\\*["'][ \t]*,[ \t]*\\*["'])""",
        r"""[^\s"'\\\-\[=:][^\s"'\\]*""",
        is_flag_value,
        sign=NAME_SIGN,
    ),
    # Pairs of a name and a value, as headers are listed.
    MaskRule(
        "argument_secret",
        rf"""[(\[]["'][\w.\-]*(?:{_NAME}|authorization)["'],[ \t]*["']""",
        r"""[^"'\[][^"']*""",
        is_pair_value,
        sign=NAME_SIGN,
    ),
    # A query within a query.
    MaskRule("query_secret", rf"{_NAME}%3d", r"""[^\s&%"'#<>\[\\][^\s&%"'#<>\\]*""", sign=NAME_SIGN),
    # Lists, and blocks of YAML.
    MaskRule("quoted_secret", rf"{_NAMED}\[[ \t]*", r"""\\*["'][^\]]*""", is_new, sign=NAME_SIGN),
    MaskRule(
        "named_secret", rf"{_NAME}[ \t]*:[ \t]*[>|][+\-0-9]*[ \t]*\n", r"(?:[ \t]+[^\n]+\n)*[ \t]+[^\n]+", is_new, sign=NAME_SIGN
    ),
    # Quoted values, to the end of the text where the quote is not closed (texts are cut before they come here), by the kind of
    # quote: escaped once and twice, as JSON within JSON has it, double, single.
    MaskRule("quoted_secret", rf"{_NAMED}\\\\\\\"", r'(?:[^"\\]|\\{7}"|\\{4}|\\{1,2}[^"\\])+', is_quoted_value, sign=NAME_SIGN),
    MaskRule("quoted_secret", rf"{_NAMED}\\\"", r'(?:[^"\\]|\\\\\\"|\\\\|\\[^"\\])+', is_quoted_value, sign=NAME_SIGN),
    MaskRule("quoted_secret", rf"{_NAMED}\"", r'(?:[^"\\]|\\(?s:.)|\\\z)+', is_quoted_value, sign=NAME_SIGN),
    MaskRule("quoted_secret", rf"{_NAMED}'", r"(?:[^'\\]|\\(?s:.)|\\\z)+", is_quoted_value, sign=NAME_SIGN),
    # A name and a value in brackets; `session.id` is OpenTelemetry's name of a visit, and none of a secret.
    MaskRule("named_secret", rf"\([ \t]*{_NAME}[ \t]+", r"""[^\s()\[\]"'\\]+""", is_flag_value, r"[ \t]*\)"),
    # name=value and name: value.
    MaskRule("named_secret", _NAMED, _UNQUOTED, is_named_value, sign=NAME_SIGN),
)

RULES: Final[Mapping[str, tuple[MaskRule, ...]]] = {
    "secrets": _SECRETS,
    "email": (
        MaskRule("email", "", r"\b[A-Za-z0-9._%+\-]+@[A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)*\.[A-Za-z]{2,}\b", is_mail_address),
    ),
    "card": (
        MaskRule(
            "card",
            "",
            r"\b(?:3[47]\d{2}[ \-]?\d{6}[ \-]?\d{5}|(?:4\d{3}|5[1-5]\d{2}|2[2-7]\d{2}|6(?:011|5\d{2}))(?:[ \-]?\d{4}){3})\b",
            is_stated_card,
        ),
    ),
    "iban": (MaskRule("iban", "", r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b", is_stated_iban),),
    "ip": (MaskRule("ip", "", r"\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b"),),
}
"""Groups of rules by name, each in the order in which they are applied."""
