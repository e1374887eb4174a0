"""Templates of a stretch of lines: values do not matter, nor does the order in which lines are given."""

import numpy as np
import pyarrow as pa

from aiops.signals.line_templates import templates_of, with_templates
from data_contracts.schemas.telemetry_schemas import TIMESTAMP

LINES = [f"GET /cart/{number} user=u{number} ok" for number in range(30)] + [
    f"payment {number} failed: card" for number in range(30)
]
TIMES_US = np.arange(60, dtype=np.int64) * 1_000_000


def test_values_do_not_matter() -> None:
    templates = templates_of(pa.array(LINES), TIMES_US).to_pylist()
    assert len(set(templates[:30])) == len(set(templates[30:])) == 1
    assert templates[0] != templates[30]


def test_the_order_in_which_lines_are_given_does_not_matter() -> None:
    shuffled = np.random.default_rng(1).permutation(60)
    templates = templates_of(pa.array(LINES).take(pa.array(shuffled)), TIMES_US[shuffled]).to_pylist()
    straight = templates_of(pa.array(LINES), TIMES_US).to_pylist()
    assert [templates[place] for place in np.argsort(shuffled)] == straight


def test_no_line_has_no_template() -> None:
    assert len(templates_of(pa.array([], pa.string()), np.zeros(0, np.int64))) == 0


def test_a_stream_of_noise_has_no_templates_and_its_lines_are_left_out() -> None:
    rng = np.random.default_rng(2)
    words = ["".join(chr(97 + letter) for letter in rng.integers(0, 26, 8)) for _ in range(20_000)]
    prose = [" ".join(rng.choice(words, int(rng.integers(5, 14)))) for _ in range(1500)]
    ids = pa.array(["a"] * len(prose))
    at = pa.array(np.arange(len(prose))).cast(TIMESTAMP)
    assert with_templates(pa.table({"timestamp": at, "trace_id": ids, "span_id": ids, "text": prose})).num_rows == 0
