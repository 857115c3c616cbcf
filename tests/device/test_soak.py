"""Does a process that goes on keep its size? The estimate, and the runtime itself."""

from __future__ import annotations

import json
import mmap
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from edge_device.bench.soak import MAX_SAMPLES, MIN_SAMPLES, Soak, theil_sen
from waiting import PATIENCE_S


def test_a_slope_is_found_in_noise_and_its_interval_holds_it() -> None:
    """95 % of intervals, of 200 seeded ones: 4 standard errors are 6 points."""
    held = 0
    for seed in range(200):
        random = Random(seed)
        slope, interval = theil_sen([(x, 3.0 * x + random.gauss(0, 20)) for x in range(40)])
        assert slope is not None and interval is not None
        assert interval.low <= slope <= interval.high
        held += interval.low <= 3.0 <= interval.high
    assert 0.89 <= held / 200 <= 1.0


def test_what_does_not_change_has_no_slope() -> None:
    slope, interval = theil_sen([(x, 7.0) for x in range(MIN_SAMPLES)])
    assert slope == 0.0 and interval is not None
    assert (interval.low, interval.high) == (0.0, 0.0)


def test_a_single_step_is_no_growth_and_a_staircase_is() -> None:
    _, interval = theil_sen([(x, 1e6 * (x > 60)) for x in range(100)])
    assert interval is not None and interval.low == 0.0
    _, interval = theil_sen([(x, 4096.0 * (x // 10)) for x in range(100)])
    assert interval is not None and interval.low > 300


def test_a_few_points_have_none() -> None:
    assert theil_sen([(x, x) for x in range(MIN_SAMPLES - 1)]) == (None, None)


def test_memory_that_is_kept_is_seen(driven_clock: Any) -> None:
    soak, kept, content = Soak(now_ns=driven_clock.now_ns), [], b"x" * 5_000_000
    for _ in range(40):  # 1 % of what a test process has is far less than one of them
        kept.append(mmap.mmap(-1, len(content)))  # not memory that was freed before, and counts yet
        kept[-1].write(content)
        soak.sample()
        driven_clock.advance(1.0)
    found = soak.document()
    assert found["constant"] is False
    assert "memory grows by" in found["because"]
    assert found["rss_slope_bytes_per_s"] == pytest.approx(5e6, rel=0.1)
    assert len(kept) == 40


def test_files_that_stay_open_are_seen(tmp_path: Path, driven_clock: Any) -> None:
    soak, opened = Soak(now_ns=driven_clock.now_ns), []
    for second in range(40):
        if second % 10 == 5:
            opened.append((tmp_path / f"{second}").open("w"))
        soak.sample()
        driven_clock.advance(1.0)
    for file in opened:
        file.close()
    found = soak.document()
    assert found["fds_end"] - found["fds_start"] == 4
    assert found["fds_start"] == len(list(Path("/proc/self/fd").iterdir())) - 1
    assert "3 more files are open at the end" in found["because"]  # all through the last quarter


def test_it_keeps_its_own_size_and_spans_the_whole_time(driven_clock: Any) -> None:
    soak = Soak(now_ns=driven_clock.now_ns)
    for _ in range(20 * MAX_SAMPLES):
        soak.sample()
        driven_clock.advance(1.0)
    assert MAX_SAMPLES // 2 <= len(soak.samples) <= MAX_SAMPLES
    assert soak.samples[0].t_s == 0
    assert soak.samples[-1].t_s > 19 * MAX_SAMPLES
    gaps = {b.t_s - a.t_s for a, b in zip(soak.samples[1:], soak.samples[2:], strict=False)}
    assert max(gaps) <= 32


@pytest.mark.campaign
def test_a_run_keeps_its_size_and_counts_exactly(
    tiny_bundle: Callable[..., Path],
    campaign: Callable[[str, int, int], int],
    unmeasured: dict[str, str],
    tmp_path: Path,
) -> None:
    """`edge-sdk run` of frames as fast as they go, watched from outside. Not those of the camera
    `fake`: it keeps a record of each.
    """
    frames = campaign("frames", 20_000, 1_000_000)
    camera = f"synthetic?fps=max&width=32&height=24&frames={frames}"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "edge_sdk.cli", "run", str(tiny_bundle())),
            *("--camera", camera, "--report", str(tmp_path)),
        ],
        stdout=subprocess.DEVNULL,
        env=unmeasured,
    )
    soak = watched(process)
    assert process.wait(PATIENCE_S) == 0
    document = json.loads((tmp_path / "run.json").read_text("utf-8"))
    assert document["results"] == frames
    assert document["n"] + document["warmup"]["results"] == frames
    assert (document["drops"], document["warmup"]["drops"], document["policy"]) == (0, 0, "block")
    assert sum(count for *_, count in document["histogram"]["latency"]) == document["n"]
    assert sum(count for *_, count in document["histogram"]["frame_age"]) == document["n"]
    assert sum(row["frames"] for row in document["timeline"]) == document["n"]
    settled = soak.samples[len(soak.samples) // 2 :]
    # The histograms still meet new durations; an object kept of each frame would be 8 MB of 10^6.
    assert max(sample.rss_bytes for sample in settled) - settled[0].rss_bytes < 3_000_000
    half = len(settled) // 2
    # The lowest: the thread that watches the temperature may just be reading a file.
    before, after = (
        min(sample.fds for sample in part) for part in (settled[:half], settled[half:])
    )
    assert after <= before


def watched(process: subprocess.Popen[bytes]) -> Soak:
    """Memory and open files of a process until it ends."""
    soak = Soak(process.pid, every_s=0.02)
    while process.poll() is None:
        soak.sample()
        time.sleep(0.005)
    return soak
