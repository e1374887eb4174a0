"""Lines to tokens: what is a value by its looks, what belongs together, and bounds."""

import numpy as np
import pyarrow as pa
import pytest

from aiops.signals.templates.tokeniser import LONGEST_LINE, MOST_TOKENS, text_of, tokenise
from tests.testing.log_lines import arrow, cut


@pytest.mark.parametrize(
    ("line", "tokens"),
    [
        ("took 12.5 ms", ["took", "<*>"]),
        ("took 12 apples", ["took", "<*>", "apples"]),
        ("from 10.0.0.1:80 to fe80::1", ["from", "<*>", "to", "<*>"]),
        ("mac 00:1b:2c:3d:4e:5f up", ["mac", "<*>", "up"]),
        ("open /var/log/x.log failed", ["open", "<*>", "failed"]),
        ("open C:\\Windows\\x.dll failed", ["open", "<*>", "failed"]),
        ("see https://example.org/a", ["see", "<*>"]),
        ("pointer 0xdeadBEEF, deadbeefcafe", ["pointer", "<*>"]),
        ("mail to a.b@example.org sent", ["mail", "to", "<*>", "sent"]),
        ("host web.shop.example.org:443 up", ["host", "<*>", "up"]),
        ("at Mon Jan 02 15:04:05 2006 done", ["at", "<*>", "done"]),
        ("ids 1, 2, 3 dropped", ["ids", "<*>", "dropped"]),
        ("ids 1, 2, 3, 4 and 5", ["ids", "<*>", "and", "<*>"]),
        ("call () done (17) now", ["call", "done", "<*>", "now"]),
        ("uid=0 name= x", ["uid", "=", "<*>", "name", "=", "x"]),
        ("lifetime <1 sec", ["lifetime", "<*>"]),
        ("state: READY.", ["state", ":", "READY", "."]),
        ("eth0 up", ["eth0", "up"]),
        (
            'lock name=a.Lock, tag="View Lock", ws=Source{12}, on',
            ["lock", *("name", "=", "<*>", ","), *("tag", "=", "<*>", ","), "ws", "=", "<*>", ",", "on"],
        ),
        ("level=info msg=opened", ["level", "=", "info", "msg", "=", "opened"]),
        ('level=info msg="file opened"', ["level", "=", "info", "msg", "=", '"', "file", "opened", '"']),
        ("my id = anna", ["my", "id", "=", "anna"]),
        ('a="not closed', ["a", "=", "<*>"]),
        ("x=y=z", ["x", "=", "<*>", "=", "z"]),
        ("stops: [berlin, bonn] left", ["stops", ":", "<*>", "left"]),
        ("stops: [berlin] left", ["stops", ":", "<*>", "left"]),
        ("got [berlin, bonn] now", ["got", "<*>", "now"]),
        ("done [preauth]", ["done", "[", "preauth", "]"]),
        ("see org/example.a.B now", ["see", "<*>", "now"]),
        ("split hdfs://10.0.0.1:9000/a/b:29168+72", ["split", "<*>"]),
        ("opt-in: False, ready=true", ["opt-in", ":", "<*>", ",", "ready", "=", "<*>"]),
        ("depth........7", ["depth", "........", "<*>"]),
        ("file [12]-part-3.xml closed", ["file", "<*>", "closed"]),
        ("loading...", ["loading", ".", ".", "."]),
        ("job_12 and job_13", ["job_12", "and", "job_13"]),
        ("read/write error", ["read/write", "error"]),
        ("mode java.io.Mode.READ_ONLY set", ["mode", "java.io.Mode.READ_ONLY", "set"]),
        ("class java.io.Reader set", ["class", "<*>", "set"]),
        ("größe ändert sich", ["größe", "ändert", "sich"]),
        ("", []),
        (" \t ", []),
    ],
)
def test_a_line_is_cut(line: str, tokens: list[str]) -> None:
    assert cut(line) == tokens


def ids(*lines: str) -> list[int]:
    return tokenise(text_of(arrow(lines))).ids.tolist()


def test_lines_that_differ_in_values_only_have_one_id() -> None:
    assert len(set(ids("job_12 took 3 s", "job_-99 took 4 ms", "job_7 took 1.5 s"))) == 1
    assert len(set(ids("ask to delete blk_1 blk_2", "ask to delete blk_3", "ask to delete blk_4, blk_5, blk_6"))) == 1
    assert len(set(ids("got 1 (2 KB) now", "got 1 now", "got 1 () now"))) == 1


def test_lines_that_differ_otherwise_have_other_ids() -> None:
    lines = ("a b c", "b a c", "a b", "a b c d", "A b c", "a b: c", "proto IPv4", "proto IPv6")
    assert len(set(ids(*lines))) == len(lines)


def test_an_id_stays_what_it_is() -> None:
    """Ids are stored with lines: a change of the rules is a new version of the miner's state."""
    assert [f"{key:016x}" for key in ids("user anna logged in from 10.0.0.1", "")] == IDS


IDS = ["49f7b36eb6239da3", "093f9a64fbc0791d"]


def test_the_type_and_the_place_of_the_array_change_nothing() -> None:
    lines = ["a 1", "wörter 2", "", "c 3"]
    expected = tokenise(text_of(arrow(lines))).ids.tolist()
    for kind in (pa.large_string(), pa.binary(), pa.large_binary()):
        array = pa.array(
            [line.encode() if pa.types.is_binary(kind) or kind == pa.large_binary() else line for line in lines], kind
        )
        assert tokenise(text_of(array)).ids.tolist() == expected
        assert tokenise(text_of(array.slice(1, 2))).ids.tolist() == expected[1:3]
    assert tokenise(text_of(arrow([]))).ids.size == 0
    assert tokenise(text_of(pa.array([None, "a 1"], pa.string()))).ids.tolist() == [expected[2], expected[0]]


def test_long_lines_are_read_up_to_a_bound() -> None:
    batch = tokenise(text_of(arrow(["word " * 5000, "x" * 100_000, "a,b;" * 3000, ":" * 9000, "a." * 9000])))
    assert batch.count.max() <= MOST_TOKENS
    assert len(set(ids("w" * LONGEST_LINE + " end", "w" * LONGEST_LINE + " other"))) == 1


def test_control_bytes_are_counted() -> None:
    batch = tokenise(text_of(pa.array([b"a\x00b\x01", b"plain\ttext"])))
    assert (batch.unprintable, batch.bytes_read) == (2, 14)


def test_any_bytes_can_be_read() -> None:
    rng = np.random.default_rng(1)
    batch = tokenise(text_of(pa.array([rng.integers(0, 256, size).astype(np.uint8).tobytes() for size in range(300)])))
    for row in range(300):
        tokens = batch.of(row)
        assert (tokens.ends > tokens.starts).all()
        assert (np.diff(tokens.starts) > 0).all()
