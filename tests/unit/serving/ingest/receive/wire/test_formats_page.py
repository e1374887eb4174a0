"""The page on formats names every rule that leaves a part of a body out."""

from pathlib import Path

from serving.ingest.receive.wire.decoded import RULES, Rule

PAGE = Path(__file__).parents[6] / "docs" / "concepts" / "wire-formats.md"


def test_every_rule_is_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8").replace("`", "")
    assert set(RULES) == set(Rule)
    assert [rule for rule in RULES.values() if rule not in text] == []
