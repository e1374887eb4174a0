"""Lists as settings hold them: texts with `;` between the parts."""


def setting_parts(text: str) -> tuple[str, ...]:
    """Return the parts of a text separated by `;`, without space around them; empty ones are left out.

    >>> setting_parts("cart; pay*;")
    ('cart', 'pay*')
    """
    return tuple(part.strip() for part in text.split(";") if part.strip())
