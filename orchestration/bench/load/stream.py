"""From the wire to committed detections: what a sender, the receivers, the broker and stage 1 sustain together on this machine.

For each protocol: as many points a second as are answered and committed over the time given; then 80 % of that at a fixed rate,
whose time from arrival to commit is measured. All processes are those of `aiops up`, the sender is on the same machine. Of logs
and spans a line or span is committed when it is in the lake and in the series of its minute; at the end all points of those must
have passed stage 1.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from aiops.errors import ConfigurationError
from orchestration.bench.load.sent_bodies import SAMPLES, SIGNALS, SendPlan, Signal
from orchestration.bench.load.series_memory import bytes_per_series
from orchestration.bench.load.stage1_speed import Stage1Load, measure_stage1
from orchestration.bench.load.stream_pipeline import PipelineConfig, StreamPipeline, Use, pipeline_settings
from orchestration.bench.load.wire_sender import Phase
from orchestration.bench.load.wire_series import METRICS
from orchestration.bench.load.wire_templates import Protocol

PROTOCOLS: Final[tuple[Protocol, ...]] = ("remote_write_2", "remote_write_1", "otlp")
OPEN_SHARE: Final = 0.8
_BACK_S: Final = 72 * 3600
"""How long before now event time begins: points come many times faster than they would in earnest."""
_WARM_ROUNDS: Final = 3
_STAGE1: Final = {"10s": Stage1Load(10, 1_800_000), "60s": Stage1Load(60, 600_000)}

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """`hosts` > 0: so many hosts of 20 metrics in their own time for `minutes`, instead of as fast as possible for `seconds`.

    `signals`: these are sent instead of metrics, by `services`, `records` lines or spans a request.
    """

    series: int = 100_000
    seconds: float = 60.0
    step_s: int = 60
    protocols: Sequence[Protocol] = PROTOCOLS
    archive: bool = False
    hosts: int = 0
    minutes: float = 60.0
    stage1: bool = True
    memory_series: int = 100_000
    in_flight: int = 8
    signals: Sequence[Signal] = ()
    services: int = 20
    records: int = 512
    signal_step_s: int = 0
    """Seconds of event time between rounds of logs or spans; 0 = their time is the clock's."""


@dataclass(frozen=True, slots=True)
class WireRun:
    """One protocol; of logs and spans `points` are lines or spans.

    `p99_s` = p99 from arrival to the answer and from append to commit, added: no less than arrival to commit.

    `lag_s`: from the last request to its commit; memory in MiB at the start, in the middle and at the end of the fixed rate.
    """

    protocol: str
    points_per_second: float
    fixed_points_per_second: float
    p99_s: float
    answer_p99_s: float
    commit_p99_s: float
    lag_s: float
    answers: Mapping[str, int]
    cpu_s_per_million: Mapping[str, float]
    cores: Mapping[str, float]
    memory_mib: Mapping[str, Sequence[float]]
    late_s: float
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StreamFigures:
    """What the bench measured; `p99_s` is the largest of the protocols'; None and nothing = it was not measured."""

    wire_points_per_second: Mapping[str, float]
    stage1_points_per_second: Mapping[str, float]
    p99_s: float | None
    bytes_per_series: float | None
    series: int
    archive: bool
    cores: int
    load_a_core: float
    runs: Sequence[WireRun]


def bench_stream(config: StreamConfig, say: Say) -> StreamFigures:
    """Measure each protocol in processes and a folder of its own, then stage 1 alone.

    Raises:
        Unavailable: a process ended, or does not come after.
    """
    cores = os.cpu_count() or 1
    load = os.getloadavg()[0] / cores
    if config.signals:
        runs = [_signals(config, signal, say) for signal in config.signals]
    else:
        runs = [_hosts(config, protocol, say) if config.hosts else _wire(config, protocol, say) for protocol in config.protocols]
    stage1: dict[str, float] = {}
    for name, stage1_load in _STAGE1.items() if config.stage1 else ():
        say(f"stage 1 alone, {name} data …")
        stage1[name] = round(measure_stage1(stage1_load).cpu_rate)
    return StreamFigures(
        {run.protocol: run.points_per_second for run in runs},
        stage1,
        max((run.p99_s for run in runs), default=None),
        _memory(config.memory_series, say) if config.stage1 else None,
        config.hosts * len(METRICS) or config.series,
        config.archive,
        cores,
        round(load, 2),
        runs,
    )


def chosen_protocols(names: Sequence[str]) -> tuple[Protocol, ...]:
    """Return the protocols of these names, all where none is named.

    Raises:
        ConfigurationError: there is no such protocol.
    """
    unknown = sorted(set(names) - set(PROTOCOLS))
    if unknown:
        raise ConfigurationError(f"--protocol {unknown[0]}: no such protocol; choose of {', '.join(PROTOCOLS)}")
    return tuple(protocol for protocol in PROTOCOLS if protocol in names) or PROTOCOLS


def chosen_signals(names: Sequence[str]) -> tuple[Signal, ...]:
    """Return the signals of these names.

    Raises:
        ConfigurationError: there is no such signal.
    """
    unknown = sorted(set(names) - set(SIGNALS))
    if unknown:
        raise ConfigurationError(f"--signals {unknown[0]}: no such signal; choose of {', '.join(SIGNALS)}")
    return tuple(signal for signal in SIGNALS if signal in names)


def _signals(config: StreamConfig, signal: Signal, say: Say) -> WireRun:
    plan = SendPlan(
        signal,
        0,
        config.services,
        samples=config.records,
        step_s=config.signal_step_s,
        start_ms=_start_ms(_BACK_S),
        in_flight=config.in_flight,
    )
    settings = PipelineConfig(config.series, archive=True, signals=True)
    with _pipeline(plan, settings, say) as pipeline:
        return _most_then_fixed(config, plan, pipeline, say)


def _wire(config: StreamConfig, protocol: Protocol, say: Say) -> WireRun:
    plan = SendPlan(
        protocol,
        0,
        config.series // len(METRICS),
        step_s=config.step_s,
        start_ms=_start_ms(_BACK_S),
        in_flight=_in_flight(config, config.series),
    )
    with _pipeline(plan, PipelineConfig(config.series, config.archive), say) as pipeline:
        return _most_then_fixed(config, plan, pipeline, say)


def _most_then_fixed(config: StreamConfig, plan: SendPlan, pipeline: StreamPipeline, say: Say) -> WireRun:
    name = plan.protocol
    say(f"{name}: {pipeline.points_a_round:,} a round; definitions and kernels …")
    pipeline.run(Phase(rounds=_WARM_ROUNDS))
    say(f"{name}: as fast as it is committed, {config.seconds:g} s …")
    most = pipeline.run(Phase(seconds=config.seconds))
    rate = OPEN_SHARE * most.points_per_s
    say(f"{name}: {most.points_per_s:,.0f} a second; {rate:,.0f} a second for {config.seconds:g} s …")
    fixed = pipeline.run(Phase(seconds=config.seconds, points_per_s=rate))
    return _run(name, most, fixed, pipeline.counts())


def _hosts(config: StreamConfig, protocol: Protocol, say: Say) -> WireRun:
    """Send the points of `hosts` in their own time."""
    series = config.hosts * len(METRICS)
    start_ms, in_flight = _start_ms(_WARM_ROUNDS * config.step_s), _in_flight(config, series)
    plan = SendPlan(protocol, 0, config.hosts, 0, step_s=config.step_s, start_ms=start_ms, in_flight=in_flight)
    with _pipeline(plan, PipelineConfig(series, config.archive), say) as pipeline:
        say(f"{protocol}: {config.hosts:,} hosts, {series:,} series; definitions …")
        pipeline.run(Phase(rounds=_WARM_ROUNDS))
        rate = series / config.step_s
        say(f"{protocol}: {rate:,.0f} points/s for {config.minutes:g} min …")
        own = pipeline.run(Phase(seconds=60 * config.minutes, points_per_s=rate))
        return _run(protocol, own, own, pipeline.counts())


@contextmanager
def _pipeline(plan: SendPlan, config: PipelineConfig, say: Say) -> Iterator[StreamPipeline]:
    """Run all processes in a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="aiops-bench-stream-") as folder:
        settings = pipeline_settings(Path(folder), config)
        with StreamPipeline(settings, plan, say) as pipeline:
            yield pipeline


def _memory(series: int, say: Say) -> float:
    say(f"memory of {series:,} series …")
    return round(bytes_per_series(series))


def _in_flight(config: StreamConfig, series: int) -> int:
    """Return how many requests are under way: of as many as a round has no more than half."""
    return max(1, min(config.in_flight, series // (2 * SAMPLES)))


def _start_ms(back_s: int) -> int:
    return (int(time.time()) - back_s) // 60 * 60_000


def _run(protocol: str, most: Use, fixed: Use, counts: Mapping[str, int]) -> WireRun:
    answer_p99_s = fixed.sent.quantile_s(0.99)
    return WireRun(
        protocol=protocol,
        points_per_second=round(most.points_per_s),
        fixed_points_per_second=round(fixed.points_per_s),
        p99_s=round(answer_p99_s + fixed.commit_p99_s, 3),
        answer_p99_s=round(answer_p99_s, 4),
        commit_p99_s=round(fixed.commit_p99_s, 4),
        lag_s=round(fixed.lag_s, 2),
        answers={str(status): count for status, count in sorted((most.sent.answers + fixed.sent.answers).items())},
        cpu_s_per_million=most.cpu_s_per_million(),
        cores={name: round(spent / fixed.seconds, 3) for name, spent in fixed.cpu_s.items()},
        memory_mib=fixed.memory_mib,
        late_s=round(fixed.sent.late_s, 2),
        counts=counts,
    )
