"""The page of a run or a benchmark says what the document says, and no more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_sdk.report import write_report

Make = Callable[..., Any]
MEASURED = {
    "class": "A",
    "replayed": False,
    "meter": "ina226:1:0x40",
    "boundary": "5 V input of the board",
    "joules_per_inference": 0.5,
    "uncertainty": 0.01,
    "net_joules_per_inference": 0.23,
    "net_uncertainty": 0.0046,
    "mean_watts": 5.0,
    "samples": 3021,
    "trace_sha256": "ab" * 32,
    "valid": True,
    "invalid_because": None,
}


def test_the_summary_of_a_run(run_page: Make, build_document: Make) -> None:
    text = run_page(build_document()).text
    for words in (
        "digits 1.0.0",
        "litert 2.3.0, delegate xnnpack, 2 threads",
        "Frames per second 29.9 898 frames, 7 dropped",
        "Latency p50 0.700 ms",
        "Latency p90 0.755 ms",
        "Latency p99 1.275 ms",
        "Accuracy, float 97.80 % 95 %: 96.7 to 98.5 %",
        "Accuracy, int8 97.60 % 95 %: 96.5 to 98.4 %",
        "Accuracy loss 0.20 points 95 %: \N{MINUS SIGN}0.28 to 0.68",
        "Model size 236 kB float 907 kB, 3.8 times as large",
        "Valid.",
    ):
        assert words in text


def test_what_the_build_warned_of_holds_for_the_run(
    run_page: Make, build_document: Make, hostile: str
) -> None:
    build = {**build_document(), "warnings": ["its golden samples prove little", hostile]}
    text = run_page(build).text
    assert "Warning: its golden samples prove little" in text and f"Warning: {hostile}" in text
    assert "Warning:" not in run_page(build_document()).text


def test_stages_show_medians_as_a_bar_and_all_percentiles(run_page: Make) -> None:
    section = run_page().section("latency")
    for value in ("31.97", "0.034", "0.655", "1.232", "0.014"):
        assert f"<td>{value}</td>" in section
    bar = section.partition('<svg class="stack"')[2].partition("</svg>")[0]
    assert bar.count("<rect") == 3  # capture is not part of the latency
    assert "p99.9</th><td>too few samples (898 &lt; 6,636)</td>" in section


def test_frame_age_and_drops_over_time(run_page: Make) -> None:
    section = run_page().section("age")
    assert "7 frames were dropped." in section
    assert section.count("<polyline") == 4  # p50 and max, each in two runs around the gap
    drops = section.partition("<title>Dropped frames over time</title>")[2]
    assert drops.partition("</svg>")[0].count("<rect") == 1
    quiet = run_page(drops=0, timeline=[{"t_s": 0.0, "drops": 0}]).section("age")
    early = run_page(drops=1, warmup={"drops": 12}).text
    assert "1 frame was dropped. In the warm-up: 12 frames." in early
    assert "No frame was dropped." in quiet and "Dropped frames over time" not in quiet


def test_a_benchmark_without_a_camera_says_so(
    tmp_path: Path, run_document: Make, parse_page: Make
) -> None:
    document = {
        **run_document(),
        "schema": "edge-sdk/bench/1",
        "scenario": "single-stream",
        "drops": None,
        "frame_age": {"p50": None, "p90": None, "p95": None, "p99": None, "p999": None},
    }
    del document["camera"]
    path = write_report(tmp_path, "bench", document)
    page = parse_page(path.read_text(encoding="utf-8"))
    assert (tmp_path / "bench.json").exists()
    assert "Edge SDK benchmark report" in page.text
    assert "the frames did not come from a camera" in page.text
    assert "edge-sdk bench d.edge --scenario single-stream --report DIR" in page.text


def test_too_few_samples_are_said_never_zero(run_page: Make) -> None:
    nothing = dict.fromkeys(("p50", "p90", "p95", "p99", "p999", "max"))
    stages = {"invoke": dict.fromkeys(("p50", "p90", "p95", "p99"))}
    page = run_page(n=5, fps=None, latency=nothing, frame_age=nothing, stages=stages, histogram={})
    for name, least in (("p50", 11), ("p90", 64), ("p99", 662)):
        assert f"Latency {name} too few samples (5 < {least})" in page.text
    section = page.section("latency")
    assert section.count("too few samples (5 &lt; 130)") == 2
    assert "max</th><td>not measured</td>" in section
    assert "0.000" not in page.source
    assert "Frames per second not measured" in page.text


def test_an_invalid_run_keeps_its_values_and_says_why(run_page: Make) -> None:
    page = run_page(valid=False, invalid_because="3 samples, at least 662 are needed")
    assert "Not valid as a measurement: 3 samples, at least 662 are needed." in page.text
    assert "Valid." not in page.text
    assert "0.700 ms" in page.text


def test_throttling_that_cannot_be_read_is_a_quiet_note(run_page: Make) -> None:
    because = "throttling cannot be read on this machine"
    page = run_page(valid=False, invalid_because=because, invalid_codes=["throttling-unknown"])
    assert f"Not marked valid: {because}; all other rules are met." in page.text
    assert 'class="banner' not in page.source
    both = run_page(
        valid=False,
        invalid_because=f"3 samples, at least 662 are needed; {because}",
        invalid_codes=["too-few-samples", "throttling-unknown"],
    )
    assert 'class="banner warn"' in both.source and "all other rules" not in both.text


@pytest.mark.parametrize(
    ("passed", "words"), [(None, "Golden check unproven:"), (False, "Golden check failed:")]
)
def test_a_golden_check_that_did_not_pass_stands_at_the_top(
    run_page: Make, passed: bool | None, words: str
) -> None:
    golden = {"rule": "unproven", "passed": passed, "samples": 10, "largest": 3.0, "because": "why"}
    head = run_page(golden=golden).source.partition("<main>")[0]
    assert words in head and "why." in head
    assert "Golden check" not in run_page().source.partition("<main>")[0]


def test_energy_without_meter_and_board(run_page: Make) -> None:
    section = run_page().section("energy")
    assert "Not measured" in section
    assert "MODEL" not in section


def test_a_board_without_figures_says_why_there_is_no_model(run_page: Make) -> None:
    because = "rpi5: no published watts under stress"
    section = run_page(energy_model_because=because).section("energy")
    assert f"No MODEL estimate: {because}." in section
    assert "mJ" not in section


def test_every_figure_of_a_model_carries_the_word(
    run_page: Make, model_estimate: dict[str, Any]
) -> None:
    section = run_page(energy_model=model_estimate).section("energy")
    measured, _, block = section.partition("<aside")
    assert "Not measured" in measured and "mJ" not in measured
    tag = '<span class="tag">MODEL</span> '
    for words in (
        "4.86 mJ per inference",
        "interval ± 3.86 mJ<",
        "formula: 6.12 W",
        "source: Rasp",
    ):
        assert tag + words in block
    assert block.count("mJ") == 2


def test_measured_and_model_stay_apart(run_page: Make, model_estimate: dict[str, Any]) -> None:
    section = run_page(energy_measured=MEASURED, energy_model=model_estimate).section("energy")
    measured, _, block = section.partition("<aside")
    assert "500 mJ ± 10.0 mJ (95 %)" in measured and "230 mJ ± 4.60 mJ (95 %)" in measured
    assert "MODEL" not in measured and "500 mJ" not in block
    assert "95 %" not in block
    assert "REPLAYED" not in section


def test_a_replayed_trace_is_labelled_at_each_figure(run_page: Make) -> None:
    replayed = {**MEASURED, "replayed": True, "valid": False, "invalid_because": "too short"}
    section = run_page(energy_measured=replayed).section("energy")
    assert section.count(">REPLAYED</span>") == 3
    assert "Measured" not in section
    assert "no: too short" in section


def test_how_it_was_run_and_how_to_run_it_again(
    run_page: Make, model_estimate: dict[str, Any]
) -> None:
    text = run_page(energy_model=model_estimate).text
    command = "edge-sdk run d.edge --camera 'folder:frames?fps=30&loop=1' --board rpi4 --report DIR"
    assert command in text
    assert "deadline 50.00 ms, missed 3 times" in text
    assert "start 41.2 °C end not measured" in text
    assert "throttled no" in text
    assert "cpu Some CPU" in text


def test_a_recorded_command_is_shown_with_all_its_options(
    run_page: Make, model_estimate: dict[str, Any]
) -> None:
    command = ["edge-sdk", "run", "my d.edge", "--camera", "fake", "--policy", "all"]
    text = run_page(command=command, energy_model=model_estimate).text
    assert "edge-sdk run 'my d.edge' --camera fake --policy all --report DIR" in text
    assert "the nearest one" not in text
    assert "the nearest one" in run_page(command=None).text


def test_how_a_benchmark_was_loaded(run_page: Make) -> None:
    fps = {"low": 27.96, "median": 29.91, "high": 30.04}
    made_up = {"kind": "synthetic", "width": 1280, "height": 720, "color": "rgb", "frames": 8}
    text = run_page(input=made_up, workers=2, repeats={"count": 5, "fps": fps}).text
    assert "input synthetic, 1,280 × 720, rgb, 8 frames in turn" in text
    assert "workers 2" in text
    assert "repeats 5; median 29.9 frames per second (28.0 to 30.0)" in text
    assert "repeats 1 frames counted" in run_page(repeats={"count": 1, "fps": None}).text


def test_what_a_run_met_on_its_way(run_page: Make, hostile: str) -> None:
    text = run_page(unreadable=3, notes=["the video ended early", hostile]).text
    assert "unreadable images, skipped 3" in text
    assert f"notes the video ended early {hostile}" in text
    assert "unreadable" not in run_page(unreadable=0, notes=[]).text
