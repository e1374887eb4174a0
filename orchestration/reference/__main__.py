"""Run as `python -m orchestration.reference ROOT`: rewrite the pages of ROOT/docs, and whatever else is made from the code."""

import sys
from pathlib import Path

from orchestration.reference.console_descriptions import rewrite_descriptions
from orchestration.reference.pages import rewrite

for name in rewrite(Path(sys.argv[1])):
    sys.stdout.write(f"docs/{name} rewritten\n")
for path in rewrite_descriptions(Path(sys.argv[1])):
    sys.stdout.write(f"{path} rewritten\n")
