"""Reports: pages that are whole, say what the documents say, and hold against hostile ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.errors import FileError
from edge_sdk.report import write_build_report, write_report
from edge_sdk.report.gallery import Exhibit, Gallery, gallery_section

VOID = {"meta", "br"}
DIGITS = [str(digit) for digit in range(10)]
MODEL = {
    "label": "MODEL",
    "board": "rpi4",
    "joules_per_inference": 0.0048572,
    "uncertainty": 0.0038638,
    "formula": "6.12 W under stress × 5,700,000 MACs / 7.18e9 MACs/s",
    "source": "Raspberry Pi documentation",
}
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


class Page(HTMLParser):
    """A parsed page: its text, its headings, and every attribute; unbalanced tags are an error."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(source)
        self.close()
        assert not self.open, f"left open: {self.open}"
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    def count(self, tag: str) -> int:
        return sum(1 for name, _ in self.tags if name == tag)

    def section(self, anchor: str) -> str:
        """The HTML of one section; "" where the page has none."""
        _, found, rest = self.source.partition(f'<section id="{anchor}"')
        return rest.partition("</section>")[0] if found else ""


def run_document() -> dict[str, Any]:
    percentiles = {"p50": 0.7004, "p90": 0.7551, "p95": 0.782, "p99": 1.2754, "p999": None}
    return {
        "schema": "edge-sdk/run/1",
        "bundle": {"name": "digits", "version": "1.0.0", "sha256": "9f" * 32, "path": "d.edge"},
        "engine": {
            "name": "litert",
            "version": "2.3.0",
            "resolver": "builtin",
            "delegate": "xnnpack",
            "threads": 2,
            "mapped": None,
        },
        "scenario": "camera",
        "camera": "folder:frames?fps=30&loop=1",
        "machine": {"platform": "Linux-6.1", "cpu": "Some CPU", "cores": 2, "python": "3.11.2"},
        "n": 898,
        "seconds": 30.004,
        "fps": 29.9293,
        "drops": 7,
        "deadline_ms": 50.0,
        "deadline_misses": 3,
        "latency": {**percentiles, "max": 2.4734},
        "frame_age": {**percentiles, "max": 3.0991},
        "stages": {
            "capture": {"p50": 31.97, "p90": 32.78, "p95": 32.99, "p99": 33.42},
            "preprocess": {"p50": 0.0337, "p90": 0.0377, "p95": 0.0392, "p99": 0.0414},
            "invoke": {"p50": 0.6553, "p90": 0.7112, "p95": 0.7382, "p99": 1.2318},
            "postprocess": {"p50": 0.0104, "p90": 0.0124, "p95": 0.0130, "p99": 0.0143},
        },
        "energy_measured": None,
        "energy_model": None,
        "energy_model_because": None,
        "thermal": {"start_c": 41.2, "end_c": None, "max_c": None, "throttled": False},
        "preprocess": {"resized_by": "cv2"},
        "valid": True,
        "invalid_because": None,
        "mlperf": {"scenario": None, "met": False, "because": "30 s, at least 600 s are needed"},
        "golden": {"rule": "exact", "passed": True, "samples": 10, "largest": 0.0, "because": ""},
        "timeline": [
            {
                "t_s": float(second),
                "frames": 30,
                "drops": 7 if second == 3 else 0,
                "frame_age_p50_ms": None if second == 5 else 1.0,
                "frame_age_max_ms": None if second == 5 else 2.0,
            }
            for second in range(30)
        ],
        "histogram": {
            "latency": [[0.6, 0.7, 400], [0.7, 0.8, 490], [1.2, 1.3, 7], [2.4, 2.5, 1]],
            "frame_age": [[1.0, 1.1, 898]],
        },
    }


def build_document(labels: list[str] | None = None) -> dict[str, Any]:
    labels = DIGITS if labels is None else labels
    n = 10 * len(labels)
    confusion = [[10 if i == j else 0 for j in range(len(labels))] for i in range(len(labels))]
    confusion[0][0], confusion[0][1] = 7, 3
    return {
        "schema": "edge-sdk/build/1",
        "name": "digits",
        "version": "1.0.0",
        "recipe_sha256": "41" * 32,
        "labels": labels,
        "dataset": {
            "n_train": 3500,
            "n_val": 500,
            "n_test": n,
            "sha256": "c0" * 32,
            "unreadable": ["images/broken one.jpg: truncated"],
            "duplicates": 4,
            "per_class": {label: {"train": 350, "val": 50, "test": 10} for label in labels},
            "train_sha256_prefixes": "deadbeefdeadbeef" * 3500,
        },
        "float": {
            "accuracy": 0.978,
            "correct": 978,
            "n": 1000,
            "interval": [0.967, 0.985],
            "bytes": 907_364,
        },
        "converted": {
            "accuracy": 0.976,
            "correct": 976,
            "n": 1000,
            "interval": [0.965, 0.984],
            "bytes": 236_240,
            "quantization": "int8",
            "confusion": confusion,
            "per_class": {label: {"n": 10, "recall": 0.9, "precision": None} for label in labels},
        },
        "accuracy_loss": 0.002,
        "accuracy_loss_interval": [-0.0028, 0.0068],
        "changed_answers": {"lost": 3, "won": 1},
        "budget": {"accuracy_loss": 0.01, "bytes": 300_000, "mapped": None, "latency_ms": 40.0},
        "passed": True,
        "stages": [
            {"name": "data", "seconds": 0.93, "cached": False},
            {"name": "train", "seconds": 41.2, "cached": True},
        ],
        "steps": [
            {"name": "train", "accuracy": 0.978, "bytes": 907_364, "macs": 5_700_000, "note": "x"}
        ],
        "history": {
            "loss": [0.5, 0.2, 0.1],
            "val_loss": [0.3, 0.2, 0.15],
            "accuracy": [0.84, 0.93, 0.97],
            "val_accuracy": [0.9, 0.94, 0.96],
        },
        "versions": {"tensorflow": "2.21.0"},
        "agreement": {"converted": {"samples": 64, "largest": 0.031}},
        "worst_layers": [{"name": "conv2d_1", "op": "CONV_2D", "sqnr_db": 21.4}],
    }


@pytest.fixture
def run_page(tmp_path: Path) -> Callable[..., Page]:
    """The page of a run document, changed by keyword."""

    def make(build: dict[str, Any] | None = None, **changes: Any) -> Page:
        path = write_report(tmp_path, "run", {**run_document(), **changes}, build)
        return Page(path.read_text(encoding="utf-8"))

    return make


@pytest.fixture
def build_page(tmp_path: Path) -> Callable[[dict[str, Any]], Page]:
    def make(document: dict[str, Any]) -> Page:
        write_build_report(tmp_path / "build.html", document)
        return Page((tmp_path / "build.html").read_text(encoding="utf-8"))

    return make


def test_the_document_is_kept_to_the_last_digit_beside_its_page(tmp_path: Path) -> None:
    document = {**run_document(), "fps": 29.929310344827586, "camera": "folder:图片"}
    page = write_report(tmp_path / "报告 1", "run", document, build_document())
    assert page == tmp_path / "报告 1" / "report.html"
    text = (tmp_path / "报告 1" / "run.json").read_text(encoding="utf-8")
    assert json.loads(text) == document
    assert "图片" in text
    assert sorted(path.name for path in page.parent.iterdir()) == ["report.html", "run.json"]


def test_a_name_that_is_not_utf8_is_kept_in_json_and_shown_in_the_page(tmp_path: Path) -> None:
    document = {**run_document(), "camera": "folder:b\udcffd"}
    page = write_report(tmp_path, "run", document)
    assert json.loads((tmp_path / "run.json").read_text(encoding="utf-8")) == document
    assert "folder:b?d" in page.read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_written_is_an_error_with_a_fix(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FileError) as caught:
        write_report(tmp_path / "file", "run", run_document())
    assert caught.value.fix


def test_a_page_needs_no_script_and_no_network(run_page: Callable[..., Page]) -> None:
    page = run_page(build_document(), energy_model=MODEL)
    assert page.count("script") == page.count("link") == page.count("img") == 0
    assert "@import" not in page.source and "url(" not in page.source
    for _, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("href", "src"):
                assert value is not None and value.startswith("#")
    assert "default-src 'none'" in page.source


def test_a_page_can_be_read_by_everyone(run_page: Callable[..., Page]) -> None:
    page = run_page(build_document(), energy_model=MODEL)
    anchors = {attributes.get("id") for tag, attributes in page.tags if tag == "section"}
    links = {attributes["href"] for tag, attributes in page.tags if tag == "a"}
    assert links == {f"#{anchor}" for anchor in anchors}
    assert page.count("h1") == 1
    assert page.count("caption") == page.count("table") > 10
    assert page.count("title") == page.count("svg") + 1
    assert ("html", {"lang": "en"}) in page.tags
    assert "prefers-color-scheme: dark" in page.source and "@media print" in page.source


def test_the_summary_of_a_run(run_page: Callable[..., Page]) -> None:
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


def test_accuracy_float_against_converted(run_page: Callable[..., Page]) -> None:
    page = run_page(build_document())
    text = Page(f"<section{page.section('accuracy')}</section>").text
    assert "float 97.80 % 96.7 to 98.5 % 978 of 1,000 907 kB" in text
    assert "int8 97.60 % 96.5 to 98.4 % 976 of 1,000 236 kB" in text
    assert "0.20 points (95 % interval \N{MINUS SIGN}0.28 to 0.68, paired image by image)" in text
    assert "Answers lost: 3, won: 1." in text
    assert "0 10 90.0 % not measured" in text


def test_stages_show_medians_as_a_bar_and_all_percentiles(run_page: Callable[..., Page]) -> None:
    section = run_page().section("latency")
    for value in ("31.97", "0.034", "0.655", "1.232", "0.014"):
        assert f"<td>{value}</td>" in section
    bar = section.partition('<svg class="stack"')[2].partition("</svg>")[0]
    assert bar.count("<rect") == 3  # capture is not part of the latency
    assert "p99.9</th><td>too few samples (898 &lt; 6,636)</td>" in section


def test_frame_age_and_drops_over_time(run_page: Callable[..., Page]) -> None:
    section = run_page().section("age")
    assert "7 frames were dropped." in section
    assert section.count("<polyline") == 4  # p50 and max, each in two runs around the gap
    drops = section.partition("<title>Dropped frames over time</title>")[2]
    assert drops.partition("</svg>")[0].count("<rect") == 1
    quiet = run_page(drops=0, timeline=[{"t_s": 0.0, "drops": 0}]).section("age")
    early = run_page(drops=1, warmup={"drops": 12}).text
    assert "1 frame was dropped. In the warm-up: 12 frames." in early
    assert "No frame was dropped." in quiet and "Dropped frames over time" not in quiet


def test_a_benchmark_without_a_camera_says_so(tmp_path: Path) -> None:
    document = {
        **run_document(),
        "schema": "edge-sdk/bench/1",
        "scenario": "single-stream",
        "drops": None,
        "frame_age": {"p50": None, "p90": None, "p95": None, "p99": None, "p999": None},
    }
    del document["camera"]
    path = write_report(tmp_path, "bench", document)
    page = Page(path.read_text(encoding="utf-8"))
    assert (tmp_path / "bench.json").exists()
    assert "Edge SDK benchmark report" in page.text
    assert "the frames did not come from a camera" in page.text
    assert "edge-sdk bench d.edge --scenario single-stream --report DIR" in page.text


def test_too_few_samples_are_said_never_zero(run_page: Callable[..., Page]) -> None:
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


def test_an_invalid_run_keeps_its_values_and_says_why(run_page: Callable[..., Page]) -> None:
    page = run_page(valid=False, invalid_because="3 samples, at least 662 are needed")
    assert "Not valid as a measurement: 3 samples, at least 662 are needed." in page.text
    assert "Valid." not in page.text
    assert "0.700 ms" in page.text


def test_throttling_that_cannot_be_read_is_a_quiet_note(run_page: Callable[..., Page]) -> None:
    because = "throttling cannot be read on this machine"
    page = run_page(valid=False, invalid_because=because)
    assert f"Not marked valid: {because}; all other rules are met." in page.text
    assert 'class="banner' not in page.source
    both = run_page(valid=False, invalid_because=f"3 samples, at least 662 are needed; {because}")
    assert 'class="banner warn"' in both.source and "all other rules" not in both.text


@pytest.mark.parametrize(
    ("passed", "words"), [(None, "Golden check unproven:"), (False, "Golden check failed:")]
)
def test_a_golden_check_that_did_not_pass_stands_at_the_top(
    run_page: Callable[..., Page], passed: bool | None, words: str
) -> None:
    golden = {"rule": "unproven", "passed": passed, "samples": 10, "largest": 3.0, "because": "why"}
    head = run_page(golden=golden).source.partition("<main>")[0]
    assert words in head and "why." in head
    assert "Golden check" not in run_page().source.partition("<main>")[0]


def test_energy_without_meter_and_board(run_page: Callable[..., Page]) -> None:
    section = run_page().section("energy")
    assert "Not measured" in section
    assert "MODEL" not in section


def test_a_board_without_figures_says_why_there_is_no_model(run_page: Callable[..., Page]) -> None:
    because = "rpi5: no published watts under stress"
    section = run_page(energy_model_because=because).section("energy")
    assert f"No MODEL estimate: {because}." in section
    assert "mJ" not in section


def test_every_figure_of_a_model_carries_the_word(run_page: Callable[..., Page]) -> None:
    section = run_page(energy_model=MODEL).section("energy")
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


def test_measured_and_model_stay_apart(run_page: Callable[..., Page]) -> None:
    section = run_page(energy_measured=MEASURED, energy_model=MODEL).section("energy")
    measured, _, block = section.partition("<aside")
    assert "500 mJ ± 10.0 mJ (95 %)" in measured and "230 mJ ± 4.60 mJ (95 %)" in measured
    assert "MODEL" not in measured and "500 mJ" not in block
    assert "95 %" not in block
    assert "REPLAYED" not in section


def test_a_replayed_trace_is_labelled_at_each_figure(run_page: Callable[..., Page]) -> None:
    replayed = {**MEASURED, "replayed": True, "valid": False, "invalid_because": "too short"}
    section = run_page(energy_measured=replayed).section("energy")
    assert section.count(">REPLAYED</span>") == 3
    assert "Measured" not in section
    assert "no: too short" in section


def test_how_it_was_run_and_how_to_run_it_again(run_page: Callable[..., Page]) -> None:
    text = run_page(energy_model=MODEL).text
    command = "edge-sdk run d.edge --camera 'folder:frames?fps=30&loop=1' --board rpi4 --report DIR"
    assert command in text
    assert "deadline 50.00 ms, missed 3 times" in text
    assert "start 41.2 °C end not measured" in text
    assert "throttled no" in text
    assert "cpu Some CPU" in text


def test_a_recorded_command_is_shown_with_all_its_options(run_page: Callable[..., Page]) -> None:
    command = ["edge-sdk", "run", "my d.edge", "--camera", "fake", "--policy", "all"]
    text = run_page(command=command, energy_model=MODEL).text
    assert "edge-sdk run 'my d.edge' --camera fake --policy all --report DIR" in text
    assert "the nearest one" not in text
    assert "the nearest one" in run_page(command=None).text


def test_how_a_benchmark_was_loaded(run_page: Callable[..., Page]) -> None:
    fps = {"low": 27.96, "median": 29.91, "high": 30.04}
    made_up = {"kind": "synthetic", "width": 1280, "height": 720, "color": "rgb", "frames": 8}
    text = run_page(input=made_up, workers=2, repeats={"count": 5, "fps": fps}).text
    assert "input synthetic, 1,280 × 720, rgb, 8 frames in turn" in text
    assert "workers 2" in text
    assert "repeats 5; median 29.9 frames per second (28.0 to 30.0)" in text
    assert "repeats 1 frames counted" in run_page(repeats={"count": 1, "fps": None}).text


def test_what_a_run_met_on_its_way(run_page: Callable[..., Page]) -> None:
    text = run_page(unreadable=3, notes=["the video ended early", HOSTILE]).text
    assert "unreadable pictures, skipped 3" in text
    assert f"notes the video ended early {HOSTILE}" in text
    assert "unreadable" not in run_page(unreadable=0, notes=[]).text


def test_a_build_page(build_page: Callable[[dict[str, Any]], Page]) -> None:
    page = build_page(build_document())
    for words in (
        "Edge SDK build report",
        "Passed.",
        "at most 1.00 points 0.20 points, kept",
        "at most 300,000 bytes 236,240 bytes, kept",
        "at most 40.00 ms checked on the device",
        "training samples 3,500",
        "1 unreadable, left out: images/broken one.jpg: truncated",
        "train reused",
        "data 0.9 s",
        "conv2d_1 CONV_2D 21.4",
        "tensorflow 2.21.0",
        "edge-sdk build RECIPE",
    ):
        assert words in page.text
    assert page.section("training").count("<polyline") == 4
    assert "deadbeef" not in page.source


def test_a_build_page_shows_what_the_build_warned_of(
    build_page: Callable[[dict[str, Any]], Page],
) -> None:
    page = build_page({**build_document(), "warnings": ["only 12 test pictures", HOSTILE]})
    assert page.source.count('class="banner warn"') == 2
    assert "Warning: only 12 test pictures" in page.text and HOSTILE in page.text
    assert 'class="banner warn"' not in build_page(build_document()).source


def test_a_failed_build_says_which_limit(build_page: Callable[[dict[str, Any]], Page]) -> None:
    document = {**build_document(), "accuracy_loss": 0.0301, "passed": False}
    text = build_page(document).text
    assert "Failed: a limit was exceeded" in text
    assert "3.01 points, exceeded" in text


def test_a_loss_that_equals_its_limit_is_kept(
    build_page: Callable[[dict[str, Any]], Page],
) -> None:
    document = {**build_document(), "accuracy_loss": 0.99 - 0.98}
    assert "1.00 points, kept" in build_page(document).text


def test_a_packed_model_has_no_accuracy_and_no_training(
    build_page: Callable[[dict[str, Any]], Page], run_page: Callable[..., Page]
) -> None:
    document = {
        "schema": "edge-sdk/build/1",
        "name": "mobilenet",
        "version": "1.0.0",
        "recipe_sha256": None,
        "source_sha256": "ab" * 32,
        "labels": ["a", "b"],
        "dataset": None,
        "float": None,
        "converted": {"accuracy": None, "bytes": 3_577_760, "quantization": "int8"},
        "accuracy_loss": None,
        "budget": None,
        "passed": True,
        "stages": [],
        "steps": [],
    }
    for page in (build_page(document), run_page(document)):
        assert "made without labelled test samples" in page.section("accuracy")
        assert not page.section("training") and not page.section("confusion")
        assert "Model size 3.58 MB" in page.text
        assert "Every limit was kept" not in page.text
    assert "edge-sdk convert MODEL" in build_page(document).text


def test_a_build_document_makes_a_build_page(tmp_path: Path) -> None:
    path = write_report(tmp_path, "build", build_document())
    assert "Edge SDK build report" in path.read_text(encoding="utf-8")
    assert json.loads((tmp_path / "build.json").read_text(encoding="utf-8")) == build_document()


def test_a_model_estimate_of_a_build(build_page: Callable[[dict[str, Any]], Page]) -> None:
    assert not build_page(build_document()).section("energy")
    page = build_page({**build_document(), "energy_model": MODEL})
    assert "MODEL</span> 4.86 mJ" in page.section("energy")


@pytest.mark.parametrize("classes", [2, 3, 20, 21, 100])
def test_a_confusion_matrix_of_any_size(
    build_page: Callable[[dict[str, Any]], Page], classes: int
) -> None:
    labels = [f"类别 {index}" for index in range(classes)]
    section = build_page(build_document(labels)).section("confusion")
    page = Page(f"<section{section}</section>")
    assert "类别 0 类别 1 3 of 10" in page.text
    if classes <= 20:
        assert section.count('class="hit') == classes
        assert section.count('class="miss') == 1
        assert section.count('class="zero"') == classes * (classes - 1) - 1
    else:
        assert section.count('class="fill s1"') == classes
        assert section.count('class="fill bad"') == 1
        assert "类别 0 answered as 类别 1: 3 of 10" in page.text


HOSTILE = "<script>alert(1)</script>"


def test_hostile_labels_names_and_files_stay_text(run_page: Callable[..., Page]) -> None:
    labels = [HOSTILE, '"><img src=x onerror=alert(1)>', "{0}{style}", "a\x00b"]
    build = build_document(labels)
    build["dataset"]["unreadable"] = [f"{HOSTILE}.jpg"] * 30
    build["converted"]["quantization"] = HOSTILE
    build["versions"] = {HOSTILE: {HOSTILE: [HOSTILE]}}
    build["history"] = {"loss": [HOSTILE], "accuracy": HOSTILE}
    page = run_page(
        build,
        bundle={"name": HOSTILE, "version": "</title>", "path": "a b'; rm -rf ~.edge"},
        camera=f"folder:{HOSTILE}",
        invalid_because=HOSTILE,
        valid=False,
        stages={HOSTILE: {"p50": 1.0}},
        machine={"cpu": HOSTILE},
    )
    assert page.count("script") == page.count("img") == 0
    assert HOSTILE in page.text and "{0}{style}" in page.text
    assert "and 10 more" in page.text
    assert """'a b'"'"'; rm -rf ~.edge'""" in page.text


def test_a_missing_key_never_breaks_a_page(run_page: Callable[..., Page]) -> None:
    for key in run_document():
        run_page(build_document(), **{key: None})
    for key in build_document():
        run_page({**build_document(), key: None})


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(data=st.data())
def test_a_strangers_build_record_never_breaks_a_page(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A bundle's record is whatever its maker wrote: any value at any place of it."""
    build = deepcopy(build_document(["a", "b", "c"]))
    place: Any = build
    while isinstance(place, dict) and place:
        key = data.draw(st.sampled_from(sorted(place)))
        if not isinstance(place[key], dict) or not place[key] or data.draw(st.booleans()):
            place[key] = data.draw(anything)
            break
        place = place[key]
    folder = tmp_path_factory.getbasetemp() / "stranger"
    page = write_report(folder, "run", run_document(), build)
    Page(page.read_text(encoding="utf-8"))


def test_pictures_stand_in_the_page_itself() -> None:
    gallery = Gallery("worst", "Worst", "The <surest> mistakes.", [Exhibit(b"\x89PNG", "a < b")])
    section = gallery_section(gallery)
    assert 'src="data:image/png;base64,iVBORw=="' in section.body
    assert "a &lt; b" in section.body and "&lt;surest&gt;" in section.body
    assert gallery_section(Gallery("none", "None", "Nothing.", [])).body == ""
