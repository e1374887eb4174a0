"""Run as `python -m orchestration.reference ROOT`: rewrite the pages of ROOT/docs that are made from the code."""

import sys
from pathlib import Path

from orchestration.reference.pages import rewrite

for name in rewrite(Path(sys.argv[1])):
    sys.stdout.write(f"docs/{name} rewritten\n")
