"""What the tests of the reports share: documents of a run and a build, and their parsed pages."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from edge_sdk.report import write_build_report, write_report

VOID = {"meta", "br"}
DIGITS = [str(digit) for digit in range(10)]


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


@pytest.fixture(scope="session")
def parse_page() -> type[Page]:
    """`parse_page(source)`: a `Page`."""
    return Page


@pytest.fixture(scope="session")
def run_document() -> Callable[[], dict[str, Any]]:
    """`run_document()`: a new document of a run."""
    return _run_document


@pytest.fixture(scope="session")
def build_document() -> Callable[..., dict[str, Any]]:
    """`build_document(labels=DIGITS)`: a new build record."""
    return _build_document


@pytest.fixture
def run_page(tmp_path: Path) -> Callable[..., Page]:
    """`run_page(build=None, **changes)`: the page of a run document, changed by keyword."""

    def make(build: dict[str, Any] | None = None, **changes: Any) -> Page:
        path = write_report(tmp_path, "run", {**_run_document(), **changes}, build)
        return Page(path.read_text(encoding="utf-8"))

    return make


@pytest.fixture
def build_page(tmp_path: Path) -> Callable[[dict[str, Any]], Page]:
    """`build_page(document)`: the page of a build record."""

    def make(document: dict[str, Any]) -> Page:
        write_build_report(tmp_path / "build.html", document)
        return Page((tmp_path / "build.html").read_text(encoding="utf-8"))

    return make


@pytest.fixture(scope="session")
def model_estimate() -> dict[str, Any]:
    """What a run document says of energy that was estimated, not measured."""
    return {
        "label": "MODEL",
        "board": "rpi4",
        "joules_per_inference": 0.0048572,
        "uncertainty": 0.0038638,
        "formula": "6.12 W under stress × 5,700,000 MACs / 7.18e9 MACs/s",
        "source": "Raspberry Pi documentation",
    }


@pytest.fixture(scope="session")
def hostile() -> str:
    """A text that must stay text."""
    return "<script>alert(1)</script>"


def _run_document() -> dict[str, Any]:
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


def _build_document(labels: list[str] | None = None) -> dict[str, Any]:
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
def plug_in(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """`plug_in(group, "name = module:function", source)`: an installed package whose one module
    has this source, with this entry point.
    """

    def install(group: str, line: str, source: str) -> None:
        place = tmp_path_factory.mktemp("plug_in")
        module = line.split("=")[1].partition(":")[0].strip()
        (place / f"{module}.py").write_text(textwrap.dedent(source))
        described = place / f"{module}-1.0.dist-info"
        described.mkdir()
        (described / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n"
        )
        (described / "entry_points.txt").write_text(f"[{group}]\n{line}\n")
        monkeypatch.syspath_prepend(place)

    return install
