"""What a regular expression cannot say of a secret: check digits, and whether a value is one or a word of a sentence."""

import re
from dataclasses import dataclass
from typing import Final

_IBAN_LETTERS: Final = 55  # "A" is 10
_LONG: Final = 16
_FEW_DIGITS: Final = 4
_WORDS: Final = frozenset(
    ("true", "false", "null", "none", "nil", "undefined", "nan", "yes", "no", "on", "off", "ok", "enabled", "disabled", "missing")
)
_SCHEMES: Final = ("bearer", "basic", "digest", "token", "apikey", "negotiate", "ntlm", "hmac")
_COUNTED: Final = re.compile(r"(?i)tokens|(?:input|output|prompt|completion|total|max|min|next|num|cached|reasoning)[_\-.]?token")
_CARD_WORD: Final = re.compile(r"(?i)card|\bpan\b|visa|amex|\bcc(?:[_\-. ]?(?:num|no)|\b)")
_PORT: Final = re.compile(r"\d{1,5}[/?#]")
_FILE_ENDINGS: Final = frozenset(
    (
        *("service", "socket", "target", "timer", "mount", "automount", "slice", "scope", "swap", "path", "device"),
        *("tgz", "gz", "tar", "zip", "whl", "jar", "deb", "rpm", "js", "mjs", "ts", "css", "json", "yaml", "yml", "lock"),
        *("png", "jpg", "jpeg", "gif", "svg", "webp", "java", "py", "rb", "php", "log", "txt"),
    )
)
"""Last labels after `@` that are endings of systemd units, packages and files, of no domain that mail is sent to."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A match: at most 40 characters before it, what stands in it before the value, the value, and what follows (≤ 8)."""

    before: str
    head: str
    value: str
    after: str


def is_card(text: str) -> bool:
    """Return whether the digits are those of a payment card: Luhn's sum (ISO/IEC 7812-1).

    >>> is_card("4111 1111 1111 1111"), is_card("4111 1111 1111 1112")
    (True, False)
    """
    digits = [int(character) for character in text if character.isdigit()][::-1]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def is_iban(text: str) -> bool:
    """Return whether the check digits fit (ISO 13616: the number modulo 97 is 1).

    >>> is_iban("DE89 3704 0044 0532 0130 00"), is_iban("DE88370400440532013000")
    (True, False)
    """
    compact = text.replace(" ", "")
    turned = compact[4:] + compact[:4]
    digits = (character if character.isdigit() else str(ord(character) - _IBAN_LETTERS) for character in turned)
    return int("".join(digits)) % 97 == 1


def is_stated_card(candidate: Candidate) -> bool:
    """Return whether digits are a card: one number in ten has the right sum, so a separator or a word before must say it, too."""
    stated = not candidate.value.isdigit() or _CARD_WORD.search(candidate.before)
    return bool(stated) and is_card(candidate.value)


def is_stated_iban(candidate: Candidate) -> bool:
    """Return whether it is an account number, not the end of a UUID."""
    return not candidate.before.endswith("-") and is_iban(candidate.value)


def is_credential(text: str) -> bool:
    """Return whether a text is like a credential: long, or with digits, signs or capitals within.

    >>> is_credential("authentication"), is_credential("dXNlcjpwYXNz"), is_credential("abcdefghijkl.mnop")
    (False, True, True)
    """
    core = text.rstrip(".,;:!")
    return len(core) >= _LONG or bool(re.search(r"[0-9=+/_.~]|[a-z][A-Z]", core))


def follows_scheme(candidate: Candidate) -> bool:
    """Return whether what follows `Bearer`, `Basic` or `Digest` is a credential, not the next word of a sentence."""
    return is_credential(candidate.value)


def is_authorization(candidate: Candidate) -> bool:
    """Return whether the value of a header Authorization is a credential; after a known scheme it always is."""
    words = candidate.head.lower().split()
    schemed = bool(words) and words[-1].lstrip("\"'[\\").endswith(_SCHEMES)
    scheme = candidate.value.lower() in _SCHEMES or candidate.after.startswith(" [masked")
    return not scheme and _is_new(candidate.value) and (schemed or is_credential(candidate.value))


def is_url_password(candidate: Candidate) -> bool:
    """Return whether it is a password, not the port of an address with an @ somewhere behind."""
    return _is_new(candidate.value) and not _PORT.match(candidate.value)


def is_flag_value(candidate: Candidate) -> bool:
    """Return whether what follows `--password` is a value, not the next word of a sentence."""
    quoted = candidate.head.rstrip()[-1:] in "=\"'"
    return _is_new(candidate.value) and _is_no_word(candidate) and (quoted or _has_sign(candidate.value))


def is_login(candidate: Candidate) -> bool:
    """Return whether `-u name:value` holds a password, not the number of a group."""
    return _is_new(candidate.value) and not candidate.value.isdigit()


def is_pair_value(candidate: Candidate) -> bool:
    """Return whether what stands beside a name in a list is its value, not another name."""
    return _is_new(candidate.value) and is_value_beside(candidate.value)


def is_value_beside(text: str) -> bool:
    """Return whether a text in a list of two is like a value: long, or with a digit or a sign.

    >>> is_value_beside("username"), is_value_beside("sid=abc")
    (False, True)
    """
    return len(text) >= _LONG or re.search(r"[0-9=]", text) is not None


def names_card(name: str) -> bool:
    """Return whether a name is one of a card's number."""
    return _CARD_WORD.search(name) is not None


def is_cookie(candidate: Candidate) -> bool:
    """Return whether it is a list of cookies."""
    return "=" in candidate.value and _is_new(candidate.value)


def is_quoted_value(candidate: Candidate) -> bool:
    """Return whether a quoted text is a value: a parser's `token: '}'` is none."""
    return any(character.isalnum() for character in candidate.value) and _is_new(candidate.value) and _is_no_word(candidate)


def is_named_value(candidate: Candidate) -> bool:
    """Return whether a value without quotes behind the name of a secret is one.

    After `=` it is. After a colon a sentence may go on (`Invalid password: must be…`): there it must hold a digit or a sign, or
    be all that stands on the line, or its name be quoted.
    """
    if not _is_new(candidate.value) or not _is_no_word(candidate):
        return False
    head = candidate.head.rstrip()
    if head.endswith(("=", ">")) or re.search(r"[\"']:$", head):
        return True
    alone = (
        re.search(r"(?:^|\n)\s*(?:- )?\s*$", candidate.before) and "\n" not in head and re.match(r"\s*(?:\n|$)", candidate.after)
    )
    return _has_sign(candidate.value) or bool(alone)


def is_new(candidate: Candidate) -> bool:
    """Return whether the value is not masked already."""
    return _is_new(candidate.value)


def is_mail_address(candidate: Candidate) -> bool:
    """Return whether `a@b.c` is an address of mail, not of a repository, a unit of systemd or a package with its version."""
    local, _, domain = candidate.value.partition("@")
    labels = domain.lower().split(".")
    if local in ("git", "hg", "svn") or labels[0].isdigit() or labels[-1] in _FILE_ENDINGS:
        return False
    return re.match(r":[\w~/.]|/", candidate.after) is None


def _is_new(value: str) -> bool:
    return "[masked:" not in value and bool(value.strip("*"))


def _is_no_word(candidate: Candidate) -> bool:
    word = candidate.value.strip().rstrip(".,;:!").lower()
    if word in _WORDS:
        return False
    counted = _COUNTED.search(candidate.head) is not None
    return not (word.isdigit() and (len(word) <= _FEW_DIGITS or counted))


def _has_sign(value: str) -> bool:
    """Return whether a text holds what words do not: a digit, or a sign other than a hyphen, an apostrophe or one at its end."""
    core = value.rstrip(".,;:!?…")
    return len(core) > 1 and bool(re.search(r"[^\W_]", core)) and bool(re.search(r"[^a-zA-Z\-'’]", core) or is_credential(core))
