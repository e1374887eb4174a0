"""The commands `aiops bench …`: predictions on a corpus written to a file, with the fixed threshold and the speed printed."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.commands import (
    bench_act_commands,
    bench_forecast_commands,
    bench_load_commands,
    bench_request_commands,
    bench_unit_commands,
)
from orchestration.commands.options import AsJson, CorpusPath, Out
from orchestration.console import print_facts, print_json, print_table, say

if TYPE_CHECKING:
    from orchestration.bench.corpora.log_templates import Grouping
    from orchestration.bench.corpora.root_causes import RootCauseFigures

ThreeSigma = Annotated[bool, typer.Option("--three-sigma", help="write the scores of the naive 3-sigma rule instead")]
Ablate = Annotated[bool, typer.Option("--ablation", help="rank again with each kind of evidence switched off")]

bench = typer.Typer(help="Measure the suite on public corpora and on simulated seeds.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the group to `app`."""
    bench_unit_commands.register(bench)
    bench_request_commands.register(bench)
    bench_forecast_commands.register(bench)
    bench_act_commands.register(bench)
    bench_load_commands.register(bench)
    app.add_typer(bench, name="bench")


def _show(title: str, facts: Mapping[str, object], as_json: bool) -> None:
    """Print the figures of one bench: a table, or one JSON object on stdout."""
    if as_json:
        print_json(dict(facts))
    else:
        print_facts(title, {name: str(value) for name, value in facts.items()})


@bench.command("nezha-detect")
def nezha_detect(
    path: CorpusPath,
    out: Out,
    three_sigma: ThreeSigma = False,
    without: Annotated[list[str] | None, typer.Option("--without", help="metrics, logs or edges; can be repeated")] = None,
    as_json: AsJson = False,
) -> None:
    """Score the whole system each minute on days of Nezha with injected faults; each alarm says why."""
    from dataclasses import asdict

    from aiops.errors import ConfigurationError
    from orchestration.bench.corpora.nezha_detect import SIGNALS, run

    left_out = set(without or ())
    if not left_out < set(SIGNALS) or (three_sigma and left_out):
        raise ConfigurationError(
            f"--without {', '.join(sorted(left_out))}: give some of {', '.join(SIGNALS)}, and no --three-sigma"
        )
    facts = asdict(run(path, out, three_sigma, [name for name in SIGNALS if name not in left_out]))
    alarms = facts["alarms"] if as_json else facts.pop("alarms")
    _show("Faults of Nezha, seen at the fixed threshold", facts, as_json)
    if not as_json:
        rows = [
            (alarm["day"], f"{alarm['minute'] // 60:02}:{alarm['minute'] % 60:02}", alarm["score"], alarm["reasons"][0])
            for alarm in alarms
        ]
        print_table("Alarms and the series that adds most", ("day", "time", "score", "because"), rows)


@bench.command("alerts")
def alerts(
    path: CorpusPath,
    alerts: Annotated[Path, typer.Option("--alerts", help="CSV of raw alerts: id, day, minute, service, z", dir_okay=False)],
    out: Out,
    as_json: AsJson = False,
) -> None:
    """Turn raw threshold alerts of Nezha into few notifications that name the suspected services."""
    from dataclasses import asdict

    from orchestration.bench.corpora.alert_funnel import bench_alerts

    facts = asdict(bench_alerts(path, alerts, out, say))
    if as_json:
        print_json(facts)
        return
    for day, figures in facts["days"].items():
        timed = facts["grouped_by_time"][day]
        rows = [(name, value, timed[name]) for name, value in figures.items()]
        print_table(f"Notifications of {day}", ("figure", "here", "grouped by time"), rows)


@bench.command("storm")
def storm(
    seed: Annotated[int, typer.Option("--seed", help="seed of the storm", min=0)] = 1,
    out: Annotated[Path | None, typer.Option("--out", help="file that the pages are written to, a JSON object a line")] = None,
    as_json: AsJson = False,
) -> None:
    """Send 10,000 alerts a minute for 5 minutes, with 30 true incidents in them, through the correlation."""
    from dataclasses import asdict

    from orchestration.bench.load.storm import bench_storm
    from orchestration.bench.load.storm_alerts import StormConfig

    _show("A storm of alerts", asdict(bench_storm(StormConfig(seed=seed), out, say)), as_json)


@bench.command("rca-scale")
def rca_scale(
    out: Annotated[Path | None, typer.Option("--out", help="file that the sizes are written to, a JSON object a line")] = None,
    as_json: AsJson = False,
) -> None:
    """Time the ranking of root causes on simulated graphs of 50 to 5,000 services."""
    from dataclasses import asdict

    from orchestration.bench.load.rca_scale import bench_rca_scale

    facts = asdict(bench_rca_scale(out, say))
    if as_json:
        print_json(facts)
        return
    sizes = facts.pop("sizes")
    print_table("Seconds to rank the root causes of one incident", tuple(sizes[0]), [tuple(size.values()) for size in sizes])
    print_facts("Growth with edges", facts)


@bench.command("rca-calibration")
def rca_calibration(
    seeds: Annotated[int, typer.Option("--seeds", help="simulated seeds that are scored", min=1)] = 40,
    first_seed: Annotated[int, typer.Option("--first-seed", help="the first of them; none may be a fit seed, 1 to 24")] = 1001,
    refit: Annotated[bool, typer.Option("--refit", help="fit the weights again on the fit seeds, and score those")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="file that the alarms are written to, a JSON object a line")] = None,
    as_json: AsJson = False,
) -> None:
    """Check that probabilities of root causes are what they say, on simulated seeds that nothing was fitted to."""
    from dataclasses import asdict

    from orchestration.bench.simulated.rca_calibration import FIT_SEEDS, run
    from orchestration.bench.simulated.unseen_seeds import UnseenSeeds

    facts = asdict(run(UnseenSeeds(FIT_SEEDS, seeds, first_seed, refit), out, say))
    if as_json:
        print_json(facts)
        return
    tables = {
        "rules": "Root causes of simulated alarms",
        "bins": "Said and right",
        "kinds": "By kind, as of the last answer",
        "waits": "False alarms named and true ones lost, by minutes waited",
    }
    for name, title in tables.items():
        rows = facts.pop(name)
        print_table(title, tuple(rows[0]), [tuple(row.values()) for row in rows])
    print_facts("What was scored, and the weights", facts)


@bench.command("petshop")
def petshop(path: CorpusPath, out: Out, ablation: Ablate = False, as_json: AsJson = False) -> None:
    """Rank the root cause of every PetShop issue below the folder `dataset`."""
    from orchestration.bench.corpora.root_causes import bench_petshop

    _show_root_causes("Root causes of PetShop", bench_petshop(path, out, say, ablation), as_json)


@bench.command("nezha-rca")
def nezha_rca(path: CorpusPath, out: Out, ablation: Ablate = False, as_json: AsJson = False) -> None:
    """Rank the root cause of every fault of Nezha, from metrics, traces and logs up to 4 minutes after it."""
    from orchestration.bench.corpora.root_causes import bench_nezha

    _show_root_causes("Root causes of Nezha", bench_nezha(path, out, say, ablation), as_json)


def _show_root_causes(title: str, figures: "RootCauseFigures", as_json: bool) -> None:
    from dataclasses import asdict

    facts = asdict(figures)
    if as_json:
        print_json(facts)
        return
    rows = facts.pop("parts")
    print_table(f"{title}, by part and evidence", tuple(rows[0]), [tuple(row.values()) for row in rows])
    print_facts(title, facts)


@bench.command("incidents")
def incidents(
    seeds: Annotated[int, typer.Option("--seeds", help="simulated seeds that are scored", min=1)] = 20,
    first_seed: Annotated[
        int, typer.Option("--first-seed", help="the first of them; none may be one of the fit seeds, 1 to 8")
    ] = 1001,
    out: Annotated[Path | None, typer.Option("--out", help="CSV of every scored row, its label and its probabilities")] = None,
    as_json: AsJson = False,
) -> None:
    """Foresee incidents on simulated seeds that nothing was fitted to, beside the trend-to-limit rule at the same page budget."""
    from dataclasses import asdict

    from orchestration.bench.simulated.incidents import BenchConfig, run

    facts = asdict(run(BenchConfig(seeds=seeds, first_seed=first_seed), out, say))
    if as_json:
        print_json(facts)
        return
    for name, title in (
        ("rules", "Foreseeable incidents, at most so many false pages a day and service"),
        ("kinds", "By kind, at the largest budget"),
        ("horizons", "Ranking and calibration, all kinds"),
    ):
        rows = facts.pop(name)
        print_table(title, tuple(rows[0]), [tuple(row.values()) for row in rows])
    print_facts("What was fitted, what was scored", facts)


@bench.command("templates")
def templates(path: CorpusPath, out: Out, as_json: AsJson = False) -> None:
    """Mine the log templates of Loghub-2k, line by line, with one configuration for all sets."""
    from dataclasses import asdict

    from orchestration.bench.corpora.log_templates import run

    figures = run(path, out)
    facts = asdict(figures)
    if as_json:
        print_json(facts)
        return
    del facts["sets"]
    print_facts("Log templates, mined as a stream", {name: str(value) for name, value in facts.items()})
    rows = [
        (
            part.name,
            part.lines,
            part.templates,
            part.true_templates,
            _grouped(part.ours),
            _grouped(part.digits_masked),
            part.refused,
        )
        for part in figures.sets
    ]
    print_table("Sets (GA / FGA)", ("set", "lines", "templates", "true", "here", "digits masked", "refused"), rows)


def _grouped(grouping: "Grouping | None") -> str:
    return "" if grouping is None else f"{grouping.grouping_accuracy:.3f} / {grouping.group_f1:.3f}"


@bench.command("nab")
def nab(path: CorpusPath, out: Out, three_sigma: ThreeSigma = False, as_json: AsJson = False) -> None:
    """Score every row of the Numenta Anomaly Benchmark, series by series, at a threshold that is fixed for all."""
    from dataclasses import asdict

    from orchestration.bench.corpora.nab import run

    _show("Series of the Numenta Anomaly Benchmark", asdict(run(path, out, three_sigma)), as_json)
