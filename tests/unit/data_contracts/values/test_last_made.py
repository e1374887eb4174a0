"""What was made of the newest names is given again for equal names, and made anew for others."""

import pyarrow as pa

from data_contracts.values.last_made import LastMade


def test_equal_names_are_looked_at_once() -> None:
    asked: list[tuple[list[str], str]] = []
    sizes = LastMade(lambda names, text: asked.append((names.to_pylist(), text)) or len(names))
    answers = [sizes.of(pa.array(names), text) for names, text in ((["a"], "x"), (["a"], "x"), (["a"], "y"), (["b"], "y"))]
    assert answers == [1, 1, 1, 1]
    assert asked == [(["a"], "x"), (["a"], "y"), (["b"], "y")]


def test_texts_and_bytes_are_not_equal() -> None:
    kinds = LastMade(lambda names, _: str(names.type))
    assert [kinds.of(pa.array(["a"])), kinds.of(pa.array([b"a"]))] == ["string", "binary"]
