"""The processor's temperature, clocks and throttling while something runs.

Read from the kernel's files; `vcgencmd get_throttled` is run where the firmware has
none. A thread of its own looks once a second, while a camera is silent too. A look costs 0.06
ms of a core (x86, a Raspberry Pi's files): one answer in a second may be later by that.
"""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edge_sdk.sampling.sampler import Reason, Sampler, Window

if TYPE_CHECKING:
    from edge_sdk.documents.run import ThermalRecord

SYS = Path("/sys")

MAX_SAMPLES = 3600
"""Samples that are kept for the report: the last hour."""

_FIRMWARE = "devices/platform/soc*/soc*:firmware/get_throttled"
"""A Raspberry Pi: hexadecimal bits, those of `vcgencmd get_throttled`."""

_COUNTERS = "devices/system/cpu/cpu*/thermal_throttle"
"""x86: how often each core and package has been throttled since the machine was started."""

_ZONES = "class/thermal/thermal_zone*"
_CPU_ZONES = ("cpu", "soc", "x86_pkg_temp")
"""What the type of a processor's zone has in it: "cpu-thermal" on a Raspberry Pi. "acpitz" is
somewhere on the board.
"""

_CLOCKS = "devices/system/cpu/cpufreq/policy*/scaling_cur_freq"
"""kHz, a file for each group of cores."""

_BITS = 0xF000F
_CAUSES = ("under-voltage", "frequency capped", "throttled", "soft temperature limit")
"""Bits 0 to 3: now; bits 16 to 19: since then. Source: Raspberry Pi documentation, vcgencmd."""

_COUNTED = "thermal throttling counted by the kernel"
_COMMAND_TIMEOUT_S = 5.0


class Throttling:
    """Watches from its construction to `end`.

    `sample` it each second, for a Raspberry Pi's kernel clears what the firmware remembers every
    other second. Where none does, what happened before counts too: the bits do not say when.
    sys: where the kernel shows itself. vcgencmd: that command; None looks for it.
    """

    def __init__(self, sys: Path = SYS, *, vcgencmd: str | None = None) -> None:
        self._firmware = next(iter(_find(sys, _FIRMWARE)), None)
        self._command = None if self._firmware else shutil.which(vcgencmd or "vcgencmd")
        kinds = ("core", "package")
        self._counters = [
            folder / f"{kind}_throttle_count" for folder in _find(sys, _COUNTERS) for kind in kinds
        ]
        self._before = _total(self._counters)
        self._known = self._before is not None
        self._seen: set[int] = set()  # whose `add` two threads may call at once
        self._counted = self._over = False

    def sample(self) -> None:
        """Read the firmware's bits, which the kernel clears; counters are read once, at the end."""
        if (bits := self._read()) is not None:
            self._known = True
            self._seen.add(bits & _BITS)

    def throttled(self) -> bool | None:
        """True if it was throttled so far; None where this cannot be read."""
        if not self._over:
            self.sample()
            self._counted = self._counted or _total(self._counters) != self._before
        return bool(any(self._seen) or self._counted) if self._known else None

    @property
    def causes(self) -> list[str]:
        """The firmware's bits by name, or the counters, as of the last `throttled`."""
        seen = [bits | bits >> 16 for bits in list(self._seen)]
        named = [name for i, name in enumerate(_CAUSES) if any(bits >> i & 1 for bits in seen)]
        return [*named, _COUNTED] if self._counted else named

    def end(self) -> None:
        """Stop: later throttling does not count."""
        self.throttled()
        self._over = True

    def _read(self) -> int | None:
        """The firmware's bits; None where it does not tell."""
        try:
            if self._firmware is not None:
                return int(self._firmware.read_text("ascii"), 16)
            return _asked(self._command) if self._command else None
        except (OSError, ValueError):
            return None


class Sample(NamedTuple):
    """celsius: the hottest of the processor's zones; mhz: the clock of its fastest core. None where
    this machine does not tell. at_ns: on time.monotonic_ns().
    """

    at_ns: int
    celsius: float | None
    mhz: float | None


class _Repeat:
    """What was seen in one repeat, of constant size."""

    def __init__(self, throttling: Throttling) -> None:
        self.throttling = throttling
        self.samples: deque[Sample] = deque(maxlen=MAX_SAMPLES)
        self.first: Sample | None = None
        self.max_c: float | None = None
        self.clocks: tuple[float, float] | None = None

    def add(self, sample: Sample) -> None:
        """Keep one more sample."""
        self.first = self.first or sample
        self.samples.append(sample)
        celsius, mhz = sample.celsius, sample.mhz
        if celsius is not None:
            self.max_c = celsius if self.max_c is None else max(self.max_c, celsius)
        if mhz is not None:
            low, high = self.clocks or (mhz, mhz)
            self.clocks = min(low, mhz), max(high, mhz)


class Thermal(Sampler):
    """Temperature, clocks and throttling, of constant size in each repeat.

    sys, vcgencmd: as Throttling has them. every_s, now_ns: as Sampler has them.
    """

    key = "thermal"

    def __init__(
        self,
        sys: Path = SYS,
        *,
        vcgencmd: str | None = None,
        every_s: float = 1.0,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        super().__init__(every_s=every_s, now_ns=now_ns)
        self._zones = [zone / "temp" for zone in _find(sys, _ZONES) if _of_the_cpu(zone / "type")]
        self._frequencies = _find(sys, _CLOCKS)
        self._new_throttling = partial(Throttling, sys, vcgencmd=vcgencmd)
        self._reset()

    def watch(self) -> Throttling:
        """Watch throttling from now on, for the repeat that `start` will begin: a run begins before
        its first answer. What happens between two repeats does not count.
        """
        self._next: _Repeat | None = _Repeat(throttling := self._new_throttling())
        return throttling

    @property
    def throttling(self) -> Throttling:
        """That of the newest repeat."""
        return self._newest.throttling

    @property
    def samples(self) -> Sequence[Sample]:
        """Those of the newest repeat, oldest first."""
        return list(self._newest.samples)

    def document(self) -> ThermalRecord:
        """Of all repeats. start_c, end_c, max_c; throttled (None: not known of all, and seen in
        none) and its causes; clocks of the fastest core; samples from the first start on. None, or
        no samples, where this machine has no such files.
        """
        repeats = self._repeats or [self._newest]
        throttled = [one.throttling.throttled() for one in repeats]
        # A list of a deque is made at once, whatever the thread does that fills it.
        samples = [sample for one in repeats for sample in list(one.samples)]
        clocks = [one.clocks for one in repeats if one.clocks]
        first = repeats[0].first
        return {
            "start_c": first.celsius if first else None,
            "end_c": samples[-1].celsius if samples else None,
            "max_c": max((one.max_c for one in repeats if one.max_c is not None), default=None),
            "throttled": True if any(throttled) else None if None in throttled else False,
            "causes": list(dict.fromkeys(c for one in repeats for c in one.throttling.causes)),
            "clocks": {
                "min_mhz": min((low for low, _ in clocks), default=None),
                "max_mhz": max((high for _, high in clocks), default=None),
            },
            "samples": [
                {"t_s": (at - first.at_ns) / 1e9, "celsius": celsius, "mhz": mhz}
                for at, celsius, mhz in samples
                if first and (celsius is not None or mhz is not None)
            ],
        }

    def reasons(self) -> Sequence[Reason]:
        """A processor that was throttled, or where that cannot be read; and its own faults."""
        throttled = self.document()["throttled"]
        found = list(super().reasons())
        if throttled is None:
            text = "throttling cannot be read on this machine"
            found.append(Reason("throttling-unknown", text))
        elif throttled:
            found.append(Reason("throttled", "the processor was throttled"))
        return found

    @property
    def _newest(self) -> _Repeat:
        newest = self._repeats[-1] if self._repeats else self._next
        assert newest is not None
        return newest

    def _reset(self) -> None:
        self._repeats: list[_Repeat] = []
        self.watch()

    def _start(self) -> None:
        self._repeats.append(self._next or _Repeat(self._new_throttling()))
        self._next = None

    def _finish(self, window: Window) -> None:
        self.throttling.end()

    def _drop_repeat(self) -> None:
        del self._repeats[-1]

    def _sample(self, at_ns: int) -> None:
        self._newest.add(Sample(at_ns, _highest(self._zones), _highest(self._frequencies)))
        self.throttling.sample()


def _find(folder: Path, pattern: str) -> list[Path]:
    """What `folder` has by a pattern with one "*" at most in each of its parts.

    Path.glob compiles regular expressions, which takes longer than reading all that is found.
    """
    found = [folder]
    for part in pattern.split("/"):
        start, star, end = part.partition("*")
        if star:
            listed = [path for parent in found for path in _listed(parent)]
            found = [p for p in listed if p.name.startswith(start) and p.name.endswith(end)]
        else:
            found = [parent / part for parent in found]
    return [path for path in found if path.exists()]


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _of_the_cpu(kind: Path) -> bool:
    try:
        return any(word in kind.read_text("ascii").lower() for word in _CPU_ZONES)
    except (OSError, ValueError):
        return False


def _highest(files: Iterable[Path]) -> float | None:
    """The highest value, in thousands: °C of m°C, MHz of kHz. None where none can be read."""
    found = _integers(files)
    return max(found) / 1000 if found else None


def _total(files: Iterable[Path]) -> int | None:
    """The sum of the counters that can be read; None where none can."""
    found = _integers(files)
    return sum(found) if found else None


def _integers(files: Iterable[Path]) -> list[int]:
    found = []
    for file in files:
        try:
            found.append(int(file.read_text("ascii")))
        except (OSError, ValueError):
            continue
    return found


def _asked(command: str) -> int | None:
    """The bits that `vcgencmd get_throttled` prints: "throttled=0x50000"; None where it fails."""
    import subprocess  # most machines do not have the command

    try:
        done = subprocess.run(
            [command, "get_throttled"],
            capture_output=True,
            text=True,
            timeout=_COMMAND_TIMEOUT_S,
            check=True,
        )
    except subprocess.SubprocessError:
        return None
    return int(done.stdout.partition("=")[2], 16)
