"""The commands `aiops bench tiers` and `aiops bench stream`: what all processes sustain together, and at which latency."""

from pathlib import Path
from typing import Annotated

import typer

from orchestration.commands.options import AsJson
from orchestration.console import print_facts, print_json, print_table, say


def register(bench: typer.Typer) -> None:
    """Add the commands to `bench`."""
    bench.command("tiers")(tiers)
    bench.command("stream")(stream)


def tiers(
    seed: Annotated[int, typer.Option("--seed", help="of the simulated telemetry")] = 11,
    services: Annotated[int, typer.Option("--services", help="simulated services, 8 series each", min=3, max=50)] = 10,
    replay_h: Annotated[float, typer.Option("--hours", help="hours replayed after six days of history", min=1, max=48)] = 12.0,
    out: Annotated[Path | None, typer.Option("--out", help="CSV of the tiers' latency and cost")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure latency and cost of each tier, and the share of points that leaves tier 1, with all processes running."""
    from dataclasses import asdict

    from orchestration.bench.load.tiers import bench_tiers
    from orchestration.bench.load.tiers_world import WorldConfig

    facts = asdict(bench_tiers(WorldConfig(seed, services, replay_h=replay_h), out, say))
    if as_json:
        print_json(facts)
        return
    rows = facts.pop("tiers")
    print_table("Tiers", tuple(rows[0]), [tuple(row.values()) for row in rows])
    together = facts.pop("end_to_end")
    print_facts("All together", facts | together)


def stream(
    protocols: Annotated[
        list[str] | None, typer.Option("--protocol", help="remote_write_1, remote_write_2 or otlp; repeatable (default: all)")
    ] = None,
    series: Annotated[int, typer.Option("--series", help="series, 20 a target", min=20_000)] = 100_000,
    seconds: Annotated[float, typer.Option("--seconds", help="of each of both parts of a protocol", min=1)] = 60.0,
    step_s: Annotated[int, typer.Option("--step", help="seconds of event time between the points of a series", min=1)] = 60,
    archive: Annotated[bool, typer.Option("--archive/--no-archive", help="whether points are copied to the lake")] = False,
    hosts: Annotated[int, typer.Option("--hosts", help="so many hosts of 20 metrics in their own time instead", min=0)] = 0,
    minutes: Annotated[float, typer.Option("--minutes", help="how long hosts are watched", min=0.1)] = 60.0,
    stage1: Annotated[bool, typer.Option("--stage1/--no-stage1", help="whether stage 1 is measured alone, too")] = True,
    memory_series: Annotated[int, typer.Option("--memory-series", help="series whose memory is measured", min=1000)] = 100_000,
    signals: Annotated[
        list[str] | None, typer.Option("--signals", help="logs or spans over OTLP instead of metrics, to the lake and to series")
    ] = None,
    services: Annotated[int, typer.Option("--services", help="services that send logs and spans", min=4)] = 20,
    records: Annotated[int, typer.Option("--records", help="lines or spans of a request, about", min=16)] = 512,
    as_json: AsJson = False,
) -> None:
    """Send metrics, logs or spans through all processes: how many a second are sustained, and the time from arrival to commit."""
    from dataclasses import asdict, replace

    from orchestration.bench.load.stream import StreamConfig, bench_stream, chosen_protocols, chosen_signals

    chosen = chosen_protocols(protocols or ())
    config = StreamConfig(series, seconds, step_s, chosen, archive, hosts, minutes, stage1, memory_series)
    if signals:
        sent = chosen_signals(signals)
        config = replace(config, signals=sent, services=services, records=records, archive=True, stage1=False)
    facts = asdict(bench_stream(config, say))
    if as_json:
        print_json(facts)
        return
    for run in facts.pop("runs"):
        print_facts(run["protocol"], {name: str(value) for name, value in run.items() if name != "protocol"})
    print_facts("Stream", {name: str(value) for name, value in facts.items()})
