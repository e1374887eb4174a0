"""Settings are changed in the file of a person: comments, order and everything else stay."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aiops.errors import ConfigurationError
from orchestration.project.settings_edit import change_settings, with_settings
from orchestration.project.settings_template import settings_template

MINE = """\
# mine
home = "h"            # here

[serving]
url = "not this one"

[source]  # where it comes from
# address
#url = ""
token = "s"

[up]
mlflow_port = 5001
"""


def test_a_setting_takes_the_place_of_its_commented_default_and_nothing_else_changes() -> None:
    changed = with_settings(MINE, "source", {"url": "http://p:9090", "queries": "q"})
    assert tomllib.loads(changed)["source"] == {"url": "http://p:9090", "queries": "q", "token": "s"}
    lines = changed.splitlines()
    assert [line for line in lines if line not in {'url = "http://p:9090"', 'queries = "q"'}] == [
        line for line in MINE.splitlines() if line != '#url = ""'
    ]


def test_again_it_is_changed_in_its_place() -> None:
    once = with_settings(MINE, "source", {"url": "http://p:9090"})
    assert with_settings(once, "source", {"url": "http://q:9090"}) == once.replace("p:9090", "q:9090")
    assert with_settings(once, "source", {"url": "http://p:9090"}) == once


def test_a_file_without_the_section_gets_it_and_a_missing_file_is_made(tmp_path: Path) -> None:
    assert tomllib.loads(with_settings('home = "h"\n', "source", {"url": "u"})) == {"home": "h", "source": {"url": "u"}}
    change_settings(tmp_path / "aiops.toml", "source", {"url": "u"})
    assert (tmp_path / "aiops.toml").read_text() == '[source]\nurl = "u"\n'
    assert list(tmp_path.iterdir()) == [tmp_path / "aiops.toml"]


def test_only_the_line_ends_of_toml_end_a_line() -> None:
    text = '# a\u2028b = 1\n[source]\nname = "a\u2028b\u0085c"\n'
    changed = with_settings(text, "source", {"url": "u"})
    assert changed == '# a\u2028b = 1\n[source]\nurl = "u"\nname = "a\u2028b\u0085c"\n'


def test_the_file_that_init_writes_can_be_changed() -> None:
    changed = with_settings(settings_template(), "source", {"url": "http://p:9090", "queries": "q", "edges": "e"})
    assert tomllib.loads(changed)["source"] == {"url": "http://p:9090", "queries": "q", "edges": "e"}


def test_what_cannot_be_changed_line_by_line_is_left_as_it_is(tmp_path: Path) -> None:
    for text in ('source = { url = "u" }\n', '[source]\nurl = """\nu\n"""\n', "no toml\n"):
        path = tmp_path / "aiops.toml"
        path.write_text(text)
        with pytest.raises(ConfigurationError, match="settings file"):
            change_settings(path, "source", {"url": "v"})
        assert path.read_text() == text


@given(st.text(min_size=0, max_size=40))
@example("\x7f")
def test_any_value_reads_back(value: str) -> None:
    try:
        text = value.encode().decode()
    except UnicodeEncodeError:
        return
    assert tomllib.loads(with_settings(MINE, "source", {"url": text}))["source"]["url"] == text
