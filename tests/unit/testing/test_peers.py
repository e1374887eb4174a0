"""Programs of others are found by what `.ci/peers` noted, else on PATH."""

from pathlib import Path

import pytest

from tests.testing.peers import FOLDER, Peer, each_peer, needed_peer, peers


@pytest.fixture
def noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    notes = {
        "newer-prometheus": "prometheus\t3.5.3+ds1-6\tnewer/usr/bin/prometheus\n",
        "distribution-prometheus": "prometheus\t2.42.0+ds-5\tdistribution/usr/bin/prometheus\n"
        "promtool\t2.42.0+ds-5\tdistribution/usr/bin/promtool\n",
    }
    (tmp_path / "programs").mkdir()
    for name, text in notes.items():
        (tmp_path / "programs" / name).write_text(text)
    monkeypatch.setenv(FOLDER, str(tmp_path))
    return tmp_path


def test_every_version_is_returned_oldest_first(noted: Path) -> None:
    versions = peers("prometheus")
    assert [peer.release for peer in versions] == [(2, 42, 0), (3, 5, 3)]
    assert needed_peer("prometheus").path == noted / "newer/usr/bin/prometheus"
    assert [parameter.id for parameter in each_peer("promtool")] == ["promtool 2.42.0+ds-5"]


def test_a_program_on_path_is_used_where_the_folder_has_none(
    noted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "node_exporter"
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert peers("prometheus-node-exporter") == [Peer("prometheus-node-exporter", "", program)]


def test_a_test_is_skipped_where_there_is_none(noted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert [mark.name for parameter in each_peer("vmagent") for mark in parameter.marks] == ["skip"]
    with pytest.raises(pytest.skip.Exception, match="AIOPS_PEERS"):
        needed_peer("vmagent")
