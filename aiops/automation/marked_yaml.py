"""YAML whose every value has a place: the plain data of one document, and where in the text each part of it stands.

Plain scalars are what YAML 1.2's core schema says (true, false, null, decimal numbers); all else is text. Anchors, aliases,
tags and further documents are refused before anything is built, so the data is never larger than the text.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

from aiops.automation.action import Plain
from aiops.errors import legible

Path = tuple[str | int, ...]
"""Keys and places in lists that lead to a value."""
MOST_BYTES: Final = 64 * 1024
MOST_DEPTH: Final = 20
_NUMBER: Final = re.compile(r"[-+]?(0|[1-9]\d{0,14})(\.\d{1,20})?([eE][-+]?\d{1,3})?")
_WORDS: Final[dict[str, Plain]] = {"true": True, "false": False, "null": None, "~": None, "": None}


@dataclass(frozen=True, slots=True, order=True)
class TextFault:
    """What is wrong with a text, where: line and column from 1."""

    line: int
    column: int
    message: str


class FaultyText(Exception):
    """A text is no YAML that may be used; `faults` in order of their place."""

    def __init__(self, faults: Sequence[TextFault]) -> None:
        """Take what is wrong with it."""
        super().__init__("; ".join(fault.message for fault in faults))
        self.faults = tuple(sorted(faults))


class MarkedDocument:
    """The data of a text with the places of its parts; `faults`: keys that stand twice, of which the first counts."""

    def __init__(self, text: str) -> None:
        """Read a text.

        Raises:
            FaultyText: it is too long or too deep, no YAML, or holds what is refused.
        """
        self._text = text
        self._nodes: dict[Path, yaml.Node] = {}
        self._keys: dict[Path, yaml.Node] = {}
        _check_events(text)
        node = yaml.compose(text, yaml.SafeLoader)
        if node is None:
            raise FaultyText([TextFault(1, 1, "the file is empty; it holds one runbook")])
        self.faults: list[TextFault] = []
        self.data: Plain = self._plain(node, ())

    def place(self, path: Path, message: str, of_key: bool = False) -> TextFault:
        """Return a fault at a value, or at its key; at the nearest value around it where it is not there."""
        nodes = self._keys if of_key and path in self._keys else self._nodes
        known = next(path[:length] for length in range(len(path), -1, -1) if path[:length] in nodes or not length)
        return _fault(nodes.get(known, self._nodes[()]).start_mark, message)

    def place_within(self, path: Path, line: int, column: int, message: str) -> TextFault:
        """Return a fault at a place within a scalar, counted from 1 in its value."""
        node = self._nodes.get(path)
        if not isinstance(node, yaml.ScalarNode):
            return self.place(path, message)
        lines = node.value.split("\n")
        offset = sum(len(before) + 1 for before in lines[: line - 1]) + column - 1
        index = _source_index(self._text, node, min(offset, len(node.value)))
        begin = self._text.rfind("\n", 0, index) + 1
        return TextFault(self._text.count("\n", 0, index) + 1, index - begin + 1, message)

    def _plain(self, node: yaml.Node, path: Path) -> Plain:
        self._nodes[path] = node
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(item, (*path, number)) for number, item in enumerate(node.value)]
        assert isinstance(node, yaml.MappingNode)
        data: dict[str, Plain] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.faults.append(_fault(key.start_mark, "a key must be a text"))
                continue
            name = str(key.value)
            if name in data:
                first = self._keys[(*path, name)].start_mark.line + 1
                self.faults.append(
                    _fault(key.start_mark, f"key {legible(name)!r} stands twice, first in line {first}; remove one")
                )
                continue
            self._keys[(*path, name)] = key
            data[name] = self._plain(value, (*path, name))
        return data


def _check_events(text: str) -> None:
    """Refuse what may not be built; without recursion, so that a text of any depth is refused and not a crash."""
    if len(text.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        raise FaultyText([TextFault(1, 1, f"the file is longer than {MOST_BYTES} bytes; a runbook is short")])
    faults: list[TextFault] = []
    depth = documents = 0
    try:
        for event in yaml.parse(text, yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            documents += isinstance(event, yaml.DocumentStartEvent)
            faults += [_fault(event.start_mark, message) for message in _refusals(event)]
            if depth > MOST_DEPTH or documents > 1:
                rule = f"nested deeper than {MOST_DEPTH}" if depth > MOST_DEPTH else "a second document; a file holds one runbook"
                raise FaultyText([*faults, _fault(event.start_mark, rule)])
    except yaml.YAMLError as error:
        raise FaultyText([*faults, _syntax_fault(error)]) from error
    if faults:
        raise FaultyText(faults)


def _refusals(event: yaml.Event) -> Iterator[str]:
    anchor = getattr(event, "anchor", None)
    if isinstance(event, yaml.AliasEvent):
        yield f"alias *{legible(anchor)}: aliases are refused; write the value out"
        return
    if anchor is not None:
        yield f"anchor &{legible(anchor)}: anchors are refused; write the value out"
    tag = getattr(event, "tag", None)
    if tag is not None:
        yield f"tag {legible(tag)}: tags are refused; put text in quotes instead"


def _syntax_fault(error: yaml.YAMLError) -> TextFault:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        said = ", ".join(part for part in (error.context, error.problem) if part)
        return TextFault(1, 1, legible(said)) if mark is None else _fault(mark, f"no YAML: {legible(said)}")
    return TextFault(1, 1, f"no YAML: {legible(error)}")


def _fault(mark: Any, message: str) -> TextFault:
    return TextFault(mark.line + 1, mark.column + 1, message)


def _scalar(node: yaml.ScalarNode) -> Plain:
    """Return what a scalar says: quoted ones are text."""
    text = str(node.value)
    if node.style is not None:
        return text
    if text in _WORDS:
        return _WORDS[text]
    number = _NUMBER.fullmatch(text)
    if number is None:
        return text
    amount = float(text) if number[2] or number[3] else int(text)
    return amount if math.isfinite(amount) else text


def _source_index(text: str, node: yaml.ScalarNode, offset: int) -> int:
    """Return where in the text a character of a scalar's value stands.

    Styles change spaces, line ends and escapes only: what is no space appears in the same order in both.
    """
    index, end = node.start_mark.index, node.end_mark.index
    if node.style in ("'", '"'):
        index += 1
    elif node.style in ("|", ">"):
        index = text.find("\n", index, end) + 1 or index
    begin = index
    for number, character in enumerate(node.value[: offset + 1]):
        if character.isspace():
            continue
        at = text.find(character, index, end)
        if at < 0:
            return begin
        if number == offset:
            return at
        index = at + 1
    return min(index, end)
