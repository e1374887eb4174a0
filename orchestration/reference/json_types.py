"""JSON schemas in words."""

from collections.abc import Iterator
from typing import Any, Final

from orchestration.reference.markdown import code, link, slug, text

_BOUNDS: Final = (
    ("minimum", "≥ {}"),
    ("exclusiveMinimum", "> {}"),
    ("maximum", "≤ {}"),
    ("exclusiveMaximum", "< {}"),
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("minItems", "at least {} of them"),
    ("maxItems", "at most {} of them"),
)


def type_of(schema: dict[str, Any]) -> str:
    """Return the type of a value as Markdown, with links to bodies on the same page.

    >>> type_of({"type": ["number", "null"]}), type_of({"type": "array", "items": {"type": "string"}})
    ('number or null', 'list of string')
    >>> type_of({"$ref": "#/components/schemas/Row"})
    '[Row](#row)'
    """
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return link(name, f"#{slug(name)}")
    for several in ("anyOf", "oneOf"):
        if several in schema and all("$ref" in choice or "type" in choice or "enum" in choice for choice in schema[several]):
            return " or ".join(dict.fromkeys(type_of(choice) for choice in schema[several]))
    if "enum" in schema:
        return "one of " + ", ".join(code(str(value)) for value in schema["enum"])
    if "const" in schema:
        return code(str(schema["const"]))
    kind = schema.get("type", "any JSON")
    if "array" in kind:
        inner = type_of(schema.get("items", {}))
        words = f"list of ({inner})" if " or " in inner else f"list of {inner}"
        return f"{words} or null" if isinstance(kind, list) else words
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {type_of(schema['additionalProperties'])}"
    if schema.get("format") == "binary":
        return "bytes"
    words = " or ".join(kind) if isinstance(kind, list) else str(kind)
    return words.replace("string", "time (RFC 3339)") if schema.get("format") == "date-time" else words


def facts(schema: dict[str, Any]) -> Iterator[str]:
    """Yield the bounds and the default of a value."""
    for name, words in _BOUNDS:
        if name in schema:
            yield text(words.format(schema[name]))
    if schema.get("default") not in (None, "", []):
        yield f"default {code(str(schema['default']))}"


def properties(schema: dict[str, Any], absent: str = "may be absent") -> Iterator[tuple[str, str, str]]:
    """Yield name, type and meaning of each field of an object; fields of an object within it bear its name before theirs."""
    required = schema.get("required", ())
    for name, value in schema["properties"].items():
        notes = [*facts(value), *([absent] if absent and name not in required else [])]
        meaning = text(value.get("description", ""))
        words = ", ".join(notes)
        yield code(name), type_of(value), f"{meaning} ({words})" if meaning and words else meaning or words
        inner, sign = (value["items"], "[]") if "items" in value else (value, "")
        if "properties" in inner:
            for field, kind, about in properties(inner, absent):
                yield code(f"{name}{sign}.{field.strip('`')}"), kind, about
