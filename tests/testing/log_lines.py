"""Made-up log lines, and a miner that has read some."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from aiops.signals.templates.miner import Mined, MinerRules, TemplateMiner
from aiops.signals.templates.shapes import Shape, shape_of
from aiops.signals.templates.tokeniser import text_of, tokenise

USERS = ("anna", "boris", "clara", "dmitri", "edda", "fritz", "greta", "hugo", "ines", "jakob", "karla", "ludwig")


def arrow(lines: Sequence[str]) -> "pa.Array[pa.StringScalar]":
    return pa.array(lines, pa.string())


def observe(miner: TemplateMiner, lines: Sequence[str], first_s: int = 0) -> Mined:
    """Let a miner read lines, one a second from `first_s` on."""
    return miner.observe(arrow(lines), np.arange(first_s, first_s + len(lines), dtype=np.int64))


def mined(lines: Sequence[str], rules: MinerRules | None = None, first_s: int = 0) -> TemplateMiner:
    """Return a miner that has read lines, one a second from `first_s` on, and consolidated at the end."""
    miner = TemplateMiner(rules)
    observe(miner, lines, first_s)
    miner.settle(first_s + len(lines))
    return miner


def template_of(lines: Sequence[str], rules: MinerRules | None = None) -> list[str]:
    """Return the text of each line's template after the last."""
    miner = TemplateMiner(rules)
    seen = observe(miner, lines)
    miner.settle(len(lines))
    texts = miner.held.template_texts()
    return [texts[key] for key in miner.resolve(seen.shapes).tolist()]


def shapes_in(lines: Sequence[str]) -> list[Shape]:
    """Return the shape of each line, with one line each."""
    batch = tokenise(text_of(arrow(lines)))
    shapes = [shape_of(batch, row, row) for row in range(len(lines))]
    for shape in shapes:
        shape.lines = 1
    return shapes


def cut(line: str) -> list[str]:
    """Return the tokens of a line as text, values as `<*>`."""
    batch = tokenise(text_of(arrow([line])))
    tokens = batch.of(0)
    text = line.encode()
    rows = zip(tokens.kinds.tolist(), tokens.starts.tolist(), tokens.ends.tolist(), strict=True)
    return ["<*>" if kind == 0 else text[start:end].decode() for kind, start, end in rows]
