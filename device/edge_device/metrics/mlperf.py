"""MLPerf Inference's rules for a load, and the verdict on a benchmark.

Source: MLPerf Inference Rules, section "Scenarios" (mlcommons/inference_policies,
inference_rules.adoc) as of round 2.0, where a multi-stream query became 8 samples issued when the
one before is done, and every scenario 600 s with early stopping; the numbers again in LoadGen's
mlperf.conf (mlcommons/inference, loadgen 4.1). Only a submission reviewed by MLCommons is an MLPerf
result; the rules that are looked at here are those of the load.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edge_sdk.statistics import Histogram

if TYPE_CHECKING:
    from edge_sdk.documents.run import MlperfVerdict

SECONDS = 600.0
"""min_duration of every scenario."""

SAMPLES_PER_QUERY = 8
"""MultiStream.samples_per_query."""

OFFLINE_SAMPLES = 24_576
"""Offline: samples of the one query."""

PERCENTILE = {"single-stream": 0.90, "multi-stream": 0.99, "server": 0.99}
"""target_latency_percentile of the scenarios whose result is a latency, or is bound by one."""

_CONFIDENCE = 0.99


def most_late(queries: int, percentile: float = 0.99) -> int | None:
    """The number of so many queries that may be late while, at 99 % confidence, a share of
    `percentile` is not; None for too few queries to tell.

    LoadGen's early stopping (loadgen/early_stopping.cc): the largest t for which the chance of at
    most t late ones is below 1 %, were a share of 1 - percentile late.
    """
    chance, late = 0.0, 0
    while late <= queries:
        chance += _binomial(late, queries, 1 - percentile)
        if chance >= 1 - _CONFIDENCE:
            break
        late += 1
    return late - 1 if late else None


def latency_estimate(latency: Histogram, percentile: float) -> float | None:
    """LoadGen's early-stopping estimate of a percentile, in ms: the t-th highest latency, t being
    `most_late`, so at 99 % confidence not below it. None for too few queries.
    """
    late = most_late(latency.count, percentile)
    if not late:
        return None
    # Half a rank lower than the nearest rank rounds up to.
    return latency.quantile((latency.count - late + 0.5) / latency.count) / 1e6


def mlperf(
    scenario: str,
    seconds: float,
    queries: int,
    valid: bool,
    *,
    streams: int = SAMPLES_PER_QUERY,
    late: int | None = None,
) -> MlperfVerdict:
    """A run held against LoadGen's rules for its scenario: {scenario, met, because}.

    queries: of multi-stream; of the others, where each is one sample, the samples. streams: samples
    of a multi-stream query. late: server queries answered after the bound.
    """
    if scenario not in (*PERCENTILE, "offline"):
        because = f"{scenario} is not an MLPerf scenario"
        return {"scenario": None, "met": False, "because": because}
    reasons = []
    if seconds < SECONDS:
        reasons.append(f"{seconds:.1f} s (at least {SECONDS:g} s are needed)")
    reasons += _too_few(scenario, queries)
    if scenario == "multi-stream" and streams != SAMPLES_PER_QUERY:
        reasons.append(f"queries of {streams} samples, not of {SAMPLES_PER_QUERY}")
    if scenario == "server" and not _held(queries, late):
        reasons.append("the latency bound was not held by 99 % of queries at 99 % confidence")
    if not valid:
        reasons.append("the run is not valid")
    return {"scenario": scenario, "met": not reasons, "because": "; ".join(reasons) or None}


def _held(queries: int, late: int | None) -> bool:
    may = most_late(queries)
    return late is not None and may is not None and late <= may


def _too_few(scenario: str, queries: int) -> list[str]:
    least = {"single-stream": 64, "multi-stream": 662, "offline": OFFLINE_SAMPLES}.get(scenario, 0)
    if queries >= least:
        return []
    kind = "queries" if scenario == "multi-stream" else "samples"
    return [f"{queries} {kind} (at least {least} are needed)"]


def _binomial(k: int, n: int, share: float) -> float:
    """The chance of k of n, each having `share`; by logarithms, which do not run out of range."""
    ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return math.exp(ways + k * math.log(share) + (n - k) * math.log1p(-share))
