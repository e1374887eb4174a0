"""The control of the rebalance test: the consumer with commits that ask neither for the epoch nor for the position.

Two owners of a partition then count the same entries twice. Run as `python -m tests.testing.unfenced_consumer`.
"""

import sys
from collections.abc import Sequence
from typing import Any

from serving.stream.consumer.__main__ import main
from serving.stream.streams import Streams

_CHECKS = ("if held ~= ARGV[1]", "if at == ARGV[3]", "if at ~= ARGV[2]")
_checked = Streams.evaluate


def evaluate(self: Streams, script: str, keys: Sequence[str], arguments: Sequence[str | bytes | int]) -> Any:
    """Run a script without its checks."""
    lines = [line for line in script.splitlines() if not line.startswith(_CHECKS)]
    return _checked(self, "\n".join(lines), keys, arguments)


if __name__ == "__main__":
    Streams.evaluate = evaluate  # type: ignore[method-assign]
    sys.exit(main())
