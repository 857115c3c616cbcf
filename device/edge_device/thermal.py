"""Whether the processor was throttled while something was measured."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

SYS = Path("/sys")

_FIRMWARE = "devices/platform/soc/soc:firmware/get_throttled"
"""A Raspberry Pi: hexadecimal bits, those of `vcgencmd get_throttled`."""

_COUNTERS = "devices/system/cpu/cpu*/thermal_throttle"
"""x86: how often each core and package has been throttled since the machine was started."""

_BITS = 0xF000F
"""Under-voltage, capped, throttled, soft temperature limit: now (0-3), or since then (16-19)."""


class Throttling:
    """Watches from its construction to `end`.

    `sample` it each second, for a Raspberry Pi's kernel clears what the firmware remembers every
    other second. Where none does, what happened before counts too: the bits do not say when.
    sys: where the kernel shows itself.
    """

    def __init__(self, sys: Path = SYS) -> None:
        self._firmware = sys / _FIRMWARE
        folders = list(sys.glob(_COUNTERS))
        kinds = ("core", "package")
        self._counters = [f / f"{kind}_throttle_count" for f in folders for kind in kinds]
        self._before = _total(self._counters)
        self._seen = self._over = False
        self._known = self._before is not None

    def sample(self) -> None:
        """Look at what will be forgotten; the counters, of which there are many, will not."""
        if (bits := _bits(self._firmware)) is not None:
            self._known = True
            self._seen = self._seen or bool(bits & _BITS)

    def throttled(self) -> bool | None:
        """Whether it was throttled so far; None where this machine does not tell."""
        if not self._over:
            self.sample()
            self._seen = self._seen or _total(self._counters) != self._before
        return self._seen if self._known else None

    def end(self) -> None:
        """What comes from now on does not count."""
        self.throttled()
        self._over = True


def _bits(path: Path) -> int | None:
    try:
        return int(path.read_text("ascii"), 16)
    except (OSError, ValueError):
        return None


def _total(paths: Iterable[Path]) -> int | None:
    """The sum of the counters that can be read; None where none can."""
    found = []
    for path in paths:
        try:
            found.append(int(path.read_text("ascii")))
        except (OSError, ValueError):
            continue
    return sum(found) if found else None
