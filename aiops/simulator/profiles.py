"""What is normal for each service: levels, seasons, noise. Drawn once; all arrays are (services,) float64."""

import math
from dataclasses import dataclass

import numpy as np

from aiops.simulator.services import Topology
from aiops.simulator.streams import Stream, generator
from aiops.types import FloatArray


@dataclass(frozen=True, slots=True)
class Profiles:
    """Levels at load 1 (the average traffic of the service) and how they follow load.

    `peak_h`: hour (UTC) of the daily peak; `daily`, `twice_daily`: log amplitudes; `weekend`: log fall at weekends.
    Ratios: `cpu_idle + cpu_load * load**0.8`, `pool_idle + pool_load * load * sqrt(latency / normal latency)`.
    `noise` multiplies every noise of the service. The disk grows by `disk_growth` over `disk_period_s`, then is cleaned;
    memory grows by `garbage` over `garbage_period_s`, then is freed.
    """

    traffic: FloatArray
    peak_h: FloatArray
    daily: FloatArray
    twice_daily: FloatArray
    weekend: FloatArray
    latency_ms: FloatArray
    tail_ratio: FloatArray
    latency_load: FloatArray
    error_rate: FloatArray
    cpu_idle: FloatArray
    cpu_load: FloatArray
    memory: FloatArray
    memory_load: FloatArray
    garbage: FloatArray
    garbage_period_s: FloatArray
    pool_idle: FloatArray
    pool_load: FloatArray
    disk: FloatArray
    disk_growth: FloatArray
    disk_period_s: FloatArray
    disk_phase: FloatArray
    noise: FloatArray


def draw_profiles(seed: int, topology: Topology) -> Profiles:
    """Return the profiles of all services; stores are faster and keep more on disk, traffic follows the calls."""
    rng = generator(seed, Stream.PROFILES)
    count = len(topology.services)
    is_store = np.zeros(count, dtype=np.bool_)
    is_store[list(topology.stores)] = True

    def span(low: float, high: float) -> FloatArray:
        return rng.uniform(low, high, count)

    peak_h = float(rng.uniform(12, 19))
    return Profiles(
        traffic=_traffic(rng, topology),
        peak_h=peak_h + rng.normal(0, 0.6, count),
        daily=span(0.3, 0.55),
        twice_daily=span(0.03, 0.15),
        weekend=span(0.1, 0.4),
        latency_ms=np.exp(rng.normal(math.log(28), 0.5, count)) * np.where(is_store, 0.25, 1.0),
        tail_ratio=span(3.0, 6.0),
        latency_load=span(0.15, 0.35),
        error_rate=np.exp(rng.normal(math.log(0.0015), 0.5, count)),
        cpu_idle=span(0.06, 0.15),
        cpu_load=span(0.12, 0.26),
        memory=span(0.35, 0.62),
        memory_load=span(0.01, 0.05),
        garbage=span(0.0, 0.09),
        garbage_period_s=span(2.0, 9.0) * 3600.0,
        pool_idle=span(0.05, 0.12),
        pool_load=span(0.12, 0.25),
        disk=np.where(is_store, span(0.4, 0.6), span(0.2, 0.45)),
        disk_growth=span(0.06, 0.2),
        disk_period_s=rng.choice([1, 1, 2, 3, 5], count) * 86400.0 + span(-3600, 3600),
        disk_phase=span(0.0, 1.0),
        noise=span(0.7, 1.3),
    )


def _traffic(rng: np.random.Generator, topology: Topology) -> FloatArray:
    """Return average requests per second: entries are drawn, the others get a share of each caller's."""
    traffic = np.zeros(len(topology.services))
    traffic[list(topology.entries)] = rng.uniform(300, 900, len(topology.entries))
    shares = dict(zip(topology.edges, rng.uniform(0.15, 0.9, len(topology.edges)), strict=True))
    for service in topology.order:
        for edge, share in shares.items():
            if edge.caller == service:
                traffic[edge.callee] += traffic[service] * share
    return traffic
