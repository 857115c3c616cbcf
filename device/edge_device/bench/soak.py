"""`bench --soak`: memory and open files of a long-running process over time.

Growth is judged in the second half: in the first, the histograms meet their last new durations and
the allocator settles. The timeline, of a row a second, is full after an hour; GROWN allows for it.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from statistics import NormalDist, median
from typing import TYPE_CHECKING, NamedTuple

from edge_sdk.sampling.sampler import Sampler
from edge_sdk.statistics import Interval

if TYPE_CHECKING:
    from edge_sdk.documents.run import SoakRecord, SoakSample

MAX_SAMPLES = 256
"""Where there are more, every other one is forgotten and as many come in double the time."""

MIN_SAMPLES = 10
"""Below them nothing is said about growth."""

GROWN = 0.01
"""Memory that grows by more than this share over the second half is not constant."""

_PAGE = os.sysconf("SC_PAGE_SIZE")


class Usage(NamedTuple):
    """rss_bytes: memory in use. fds: open files."""

    t_s: float
    rss_bytes: int
    fds: int

    def as_dict(self) -> SoakSample:
        """The JSON form."""
        return {"t_s": self.t_s, "rss_bytes": self.rss_bytes, "fds": self.fds}


class Soak(Sampler):
    """Memory and open files of a process after the warm-up, of constant size itself.

    pid: of the process. every_s: between two samples, at first.
    """

    key = "soak"
    samples_warmup = False

    def __init__(
        self,
        pid: int | str = "self",
        *,
        every_s: float = 1.0,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        super().__init__(every_s=every_s, now_ns=now_ns)
        self._proc = Path("/proc") / str(pid)
        self._reset()

    def _reset(self) -> None:
        self.samples: list[Usage] = []
        self._thinned_ns = round(self._every_s * 1e9)
        self._start_ns = self._due_ns = -1

    def _sample(self, at_ns: int) -> None:
        if at_ns < self._due_ns:
            return
        pages = int((self._proc / "statm").read_text("ascii").split()[1])
        # Looking at one's own opens a file more.
        fds = len(list((self._proc / "fd").iterdir())) - (self._proc.name == "self")
        self._due_ns = at_ns + self._thinned_ns
        if self._start_ns < 0:
            self._start_ns = at_ns
        self.samples.append(Usage((at_ns - self._start_ns) / 1e9, pages * _PAGE, fds))
        if len(self.samples) > MAX_SAMPLES:
            del self.samples[1::2]
            self._thinned_ns *= 2

    def document(self) -> SoakRecord:
        """The verdict: see docs/bench.md."""
        fds = [sample.fds for sample in self.samples]
        settled = self.samples[len(self.samples) // 2 :]
        slope, interval = theil_sen([(sample.t_s, sample.rss_bytes) for sample in settled])
        because: str | None = (
            f"{len(settled)} samples in the second half (at least {MIN_SAMPLES} are needed)"
        )
        if interval is not None:
            # The lowest of a quarter: somebody may just be reading a file.
            quarter = len(fds) // 4
            because = _grown(settled, interval, min(fds[-quarter:]) - min(fds[:quarter]))
        return {
            "frames": sum(window.n for window in self.windows),
            "rss_slope_bytes_per_s": slope,
            "interval": interval.as_list() if interval else None,
            "fds_start": fds[0] if fds else None,
            "fds_end": fds[-1] if fds else None,
            "constant": None if interval is None else because is None,
            "because": because,
            "samples": [sample.as_dict() for sample in self.samples],
        }


def theil_sen(
    points: Sequence[tuple[float, float]], confidence: float = 0.95
) -> tuple[float | None, Interval | None]:
    """The slope of y over x, and its interval; (None, None) below MIN_SAMPLES points.

    The median of the slopes of all pairs, which a few steps do not move. Source: P. K. Sen, JASA 63
    (1968) 1379-1389. The interval takes points as independent, which memory is not quite.
    """
    if len(points) < MIN_SAMPLES:
        return None, None
    slopes = sorted((b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(points, 2))
    n, pairs = len(points), len(slopes)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    spread = z * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    low = max(0, math.floor((pairs - spread) / 2) - 1)
    high = min(pairs - 1, math.ceil((pairs + spread) / 2))
    return median(slopes), Interval(slopes[low], slopes[high], confidence)


def _grown(settled: Sequence[Usage], interval: Interval, more_fds: int) -> str | None:
    """The quantities that grew, in words; None where none did."""
    grown = []
    seconds = settled[-1].t_s - settled[0].t_s
    if interval.low * seconds > GROWN * settled[0].rss_bytes:
        grown.append(f"memory grows by {interval.low:,.0f} bytes per second or more")
    if more_fds > 0:
        grown.append(f"{more_fds} more files are open at the end")
    return "; ".join(grown) or None
