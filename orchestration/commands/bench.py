"""The commands `aiops bench …`: predictions on a corpus written to a file, with the fixed threshold and the speed printed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from orchestration.commands.options import AsJson
from orchestration.console import print_facts, print_json, print_table, say

CorpusPath = Annotated[Path, typer.Option("--path", help="folder of the corpus", exists=True, file_okay=False)]
Out = Annotated[Path, typer.Option("--out", help="file that the predictions are written to", dir_okay=False)]
ThreeSigma = Annotated[bool, typer.Option("--three-sigma", help="write the scores of the naive 3-sigma rule instead")]

bench = typer.Typer(help="Measure the suite on public corpora and on simulated seeds.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the group to `app`."""
    app.add_typer(bench, name="bench")


def _show(title: str, facts: Mapping[str, object], as_json: bool) -> None:
    """Print the figures of one bench: a table, or one JSON object on stdout."""
    if as_json:
        print_json(dict(facts))
    else:
        print_facts(title, {name: str(value) for name, value in facts.items()})


@bench.command("nezha-detect")
def nezha_detect(path: CorpusPath, out: Out, three_sigma: ThreeSigma = False, as_json: AsJson = False) -> None:
    """Score the whole system each minute on days of Nezha with injected faults; each alarm says why."""
    from dataclasses import asdict

    from orchestration.bench.nezha_detect import run

    facts = asdict(run(path, out, three_sigma))
    alarms = facts["alarms"] if as_json else facts.pop("alarms")
    _show("Faults of Nezha, seen at the fixed threshold", facts, as_json)
    if not as_json:
        rows = [
            (alarm["day"], f"{alarm['minute'] // 60:02}:{alarm['minute'] % 60:02}", alarm["score"], alarm["reasons"][0])
            for alarm in alarms
        ]
        print_table("Alarms and the series that adds most", ("day", "time", "score", "because"), rows)


@bench.command("petshop")
def petshop(path: CorpusPath, out: Out, as_json: AsJson = False) -> None:
    """Rank the root cause of every PetShop issue below the folder `dataset`."""
    from dataclasses import asdict

    from orchestration.bench.root_causes import bench_petshop

    _show("Root causes of PetShop", asdict(bench_petshop(path, out, say)), as_json)


@bench.command("nezha-rca")
def nezha_rca(path: CorpusPath, out: Out, as_json: AsJson = False) -> None:
    """Rank the root cause of every fault of Nezha, from metrics up to 4 minutes after it."""
    from dataclasses import asdict

    from orchestration.bench.root_causes import bench_nezha

    _show("Root causes of Nezha", asdict(bench_nezha(path, out, say)), as_json)
