"""`python -m serving.explore`: the data for people, read only; settings come from `AIOPS_*`."""

import argparse
import sys
from collections.abc import Sequence

from serving.explore.explore_process import run_explore
from serving.host.process_entry import entered


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m serving.explore", description="The data for people, read only.")
    return run_explore(entered(parser, arguments, quiet=("uvicorn",)).settings)


if __name__ == "__main__":
    sys.exit(main())
