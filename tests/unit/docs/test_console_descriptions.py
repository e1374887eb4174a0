"""What the console's types are made from is what the APIs say now."""

from orchestration.reference.console_descriptions import console_descriptions
from tests.testing.documentation import ROOT


def test_the_descriptions_beside_the_console_are_current() -> None:
    for path, text in console_descriptions().items():
        assert (ROOT / path).read_text(encoding="utf-8") == text, f"{path} is old: run `make docs`"
