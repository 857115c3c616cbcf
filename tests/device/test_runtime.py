"""The runtime on real bundles and a real interpreter: answers, documents, endings."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edge_hardware
from edge_device import RunReport, Runtime, open_camera
from edge_device.cameras.fake import FakeCamera
from edge_device.cameras.spec import CameraSpec
from edge_device.metrics.run_report import why_invalid
from edge_device.metrics.summary_text import summary
from edge_device.run.stream import stream
from edge_hardware.thermal import Thermal
from edge_sdk import Frame, read_image
from edge_sdk.errors import (
    BundleError,
    CameraError,
    ConfigError,
    FileError,
    GateFailed,
    SamplerError,
)
from edge_sdk.inference.recognizer import open_recognizer
from edge_sdk.sampling.fake import FakeSampler

IMAGE = Frame(np.zeros((4, 4, 3), np.uint8), "rgb")

RUN_KEYS = {
    *("schema", "bundle", "engine", "scenario", "machine", "n", "seconds", "fps", "drops"),
    *("deadline_ms", "deadline_misses", "latency", "frame_age", "stages", "energy_measured"),
    *(
        "energy_model",
        "thermal",
        "preprocess",
        "valid",
        "invalid_because",
        "invalid_codes",
        "mlperf",
    ),
}
"""Those of docs/contracts.md."""

EXTENSIONS = {
    *("golden", "energy_model_because", "camera", "replayed", "policy", "unreadable", "notes"),
    *("reopened", "missed"),
    *("results", "warmup", "timeline", "histogram", "command"),
}


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Callable[..., Path]) -> Path:
    return tiny_bundle(build='{"schema": "edge-sdk/build/1"}')


def test_a_run_answers_as_the_recognizer_does(
    bundle: Path, tmp_path: Path, write_images: Callable[..., list[Path]]
) -> None:
    paths = write_images(tmp_path, 12)
    with open_recognizer(bundle) as recognizer:
        expected = [recognizer(read_image(path)).classes for path in paths]
    with Runtime(bundle) as runtime, open_camera(f"folder:{tmp_path}?fps=max") as camera:
        results = list(runtime.run(camera))
    assert [result.classes for result in results] == expected
    assert [result.index for result in results] == list(range(12))
    assert [result.source for result in results] == [str(path) for path in paths]
    assert all(result.frame_age_ms > 0 for result in results)


def test_the_run_document_has_exactly_the_keys_of_the_contract(bundle: Path) -> None:
    with Runtime(bundle, threads=1) as runtime, open_camera("fake?fps=max&frames=20") as camera:
        for _ in runtime.run(camera):
            pass
        report = runtime.report()
    document = report.as_dict()
    assert set(document) == RUN_KEYS | EXTENSIONS
    assert document["schema"] == "edge-sdk/run/1"
    assert document["scenario"] == "camera"
    assert set(document["latency"]) == {"p50", "p90", "p95", "p99", "p999", "max"}
    assert set(document["frame_age"]) == set(document["latency"])
    assert list(document["stages"]) == ["capture", "preprocess", "invoke", "postprocess"]
    for stage in document["stages"].values():
        assert set(stage) == {"p50", "p90", "p95", "p99"}
    assert set(document["thermal"]) == {
        *("start_c", "end_c", "max_c", "throttled"),
        *("causes", "clocks", "samples"),
    }
    assert document["thermal"]["throttled"] is edge_hardware.Throttling().throttled()
    assert document["command"] is None
    assert document["preprocess"] == {"resized_by": "cv2"}
    assert set(document["mlperf"]) == {"scenario", "met", "because"}
    assert document["energy_measured"] is None
    assert (document["engine"]["name"], document["engine"]["threads"]) == ("litert", 1)
    assert document["bundle"]["name"] == "tiny"
    assert document["bundle"]["path"] == str(bundle)
    assert document["golden"]["passed"] is True
    assert document["policy"] == "block"
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_figures_that_were_not_measured_are_null(bundle: Path) -> None:
    with Runtime(bundle) as runtime, open_camera("fake?fps=max&frames=20") as camera:
        assert len(list(runtime.run(camera))) == 20
        report = runtime.report()
    assert runtime.report().as_dict() == report.as_dict()  # closing takes nothing away
    assert report.n == 20
    assert report.latency.p50 is not None
    assert report.latency.p99 is None
    document = report.as_dict()
    assert document["deadline_misses"] is None
    assert document["latency"]["p90"] is None
    assert document["latency"]["max"] is not None
    assert not document["valid"]
    for reason in ("after the warm-up", "20 samples"):
        assert reason in document["invalid_because"]


def test_a_report_before_any_run(bundle: Path) -> None:
    with Runtime(bundle) as runtime:
        document = runtime.report().as_dict()
    assert set(document) == RUN_KEYS | EXTENSIONS
    assert (document["n"], document["fps"], document["camera"]) == (0, None, None)
    assert document["timeline"] == []
    assert document["histogram"] == {"latency": [], "frame_age": []}


def test_overload_is_told_exactly(bundle: Path, shared_clock: Any) -> None:
    """A 60 fps camera, 20 ms between answers, 3 s: 50 answers a second, 10 drops a second."""
    spec = CameraSpec("fake?fps=60", "fake", fps=60)
    camera = FakeCamera(spec, now_ns=shared_clock.now_ns, sleep=shared_clock.sleep)
    with Runtime(bundle, deadline_ms=10.0, now_ns=shared_clock.now_ns) as runtime:
        ages = []
        for result in runtime.run(camera):
            ages.append(result.frame_age_ms)
            if len(ages) == 151:
                shared_clock.stop()
                break
            shared_clock.advance(0.020)
        document = runtime.report().as_dict()
    camera.close()
    counted = ages[51:]
    assert document["results"] == 151
    assert document["n"] == 100
    assert document["seconds"] == 2.0
    assert document["fps"] == 50.0
    assert document["drops"] == 20
    assert document["warmup"]["results"] == 51
    assert document["warmup"]["drops"] == 10
    assert document["deadline_misses"] == sum(age > 10.0 for age in counted)
    assert document["deadline_misses"] > 0
    assert document["frame_age"]["max"] == max(counted)
    assert document["frame_age"]["p50"] == pytest.approx(sorted(counted)[49], rel=1e-3)
    # As the figures, the timeline begins where the warm-up ends: just behind an answer.
    assert [row["frames"] for row in document["timeline"]] == [49, 50, 1]
    assert sum(row["drops"] for row in document["timeline"]) == document["drops"]
    highest = max(row["frame_age_max_ms"] for row in document["timeline"])
    assert highest == document["frame_age"]["max"]
    assert document["policy"] == "latest"
    assert f"{document['deadline_misses']} results later than 10 ms" in summary(document)


def test_a_camera_slower_than_the_model_is_answered_once_a_frame(bundle: Path) -> None:
    """Four frames a second, answers in well under a millisecond: none twice, none dropped."""
    with Runtime(bundle) as runtime, open_camera("fake?fps=4&frames=5") as camera:
        results = list(runtime.run(camera))
        document = runtime.report().as_dict()
    assert [result.index for result in results] == list(range(5))
    assert len({result.sensor_ns for result in results}) == 5
    assert (document["results"], document["policy"]) == (5, "latest")
    assert document["drops"] + document["warmup"]["drops"] == 0


def test_the_frame_of_the_newest_result(bundle: Path) -> None:
    """Of this run, not of the one before."""
    with Runtime(bundle) as runtime:
        for _ in range(2):
            with open_camera("fake?fps=max") as camera:
                assert not list(runtime.run(camera, stop=lambda: True))
                assert runtime.frame is None
                for result in runtime.run(camera, frames=2):
                    assert runtime.frame is not None
                    assert runtime.frame.index == result.index


def test_a_run_ends_after_so_many_frames(bundle: Path) -> None:
    with Runtime(bundle) as runtime, open_camera("fake?fps=max") as camera:
        assert len(list(runtime.run(camera, frames=7))) == 7
        # The same camera goes on; a report is about the last run.
        assert len(list(runtime.run(camera, frames=3))) == 3
        assert runtime.report().as_dict()["results"] == 3


def test_a_run_ends_after_so_many_seconds_though_the_camera_hangs(
    bundle: Path, driven_clock: Any
) -> None:
    released = threading.Event()
    camera = FakeCamera(script=[IMAGE, math.inf], sleep=lambda _seconds: released.wait())
    with Runtime(bundle, now_ns=driven_clock.now_ns) as runtime:
        for _ in runtime.run(camera, seconds=5.0):
            driven_clock.advance(5.0)
        assert runtime.report().as_dict()["results"] == 1
        assert runtime.report().seconds == 5.0
    released.set()


def test_stop_ends_a_run_even_before_its_first_frame(bundle: Path) -> None:
    with Runtime(bundle) as runtime, open_camera("fake?fps=max") as camera:
        assert list(runtime.run(camera, stop=lambda: True)) == []
        assert runtime.report().n == 0


def test_leaving_the_loop_ends_the_capture_thread(bundle: Path) -> None:
    before = set(threading.enumerate())
    with Runtime(bundle) as runtime, open_camera("fake?fps=max") as camera:
        for _ in runtime.run(camera):
            break
        assert not [t for t in set(threading.enumerate()) - before if t.name == "edge-capture"]


def test_closing_the_runtime_ends_a_run_that_is_held(bundle: Path) -> None:
    with open_camera("fake?fps=max") as camera:
        with Runtime(bundle) as runtime:
            results = runtime.run(camera)
            next(results)
        runtime.close()
        assert not [t for t in threading.enumerate() if t.name == "edge-capture"]
        assert list(results) == []


def test_the_camera_failing_is_the_consumers_to_know(bundle: Path) -> None:
    camera = FakeCamera(script=[IMAGE, IMAGE, RuntimeError("unplugged")])
    with Runtime(bundle, policy="all") as runtime:
        seen = []
        with pytest.raises(CameraError, match="unplugged"):
            seen.extend(runtime.run(camera))
        assert runtime.report().n == 2


def test_min_score_leaves_classes_out(bundle: Path) -> None:
    with (
        Runtime(bundle, min_score=1.0) as runtime,
        open_camera("fake?fps=max&frames=3") as camera,
    ):
        assert [result.classes for result in runtime.run(camera)] == [(), (), ()]


def test_board_adds_figures_labelled_model(bundle: Path) -> None:
    with Runtime(bundle) as runtime:
        document = runtime.report(edge_hardware.load_board("rpi4")).as_dict()
        assert document["energy_model"]["label"] == "MODEL"
        assert document["energy_model"]["board"] == "rpi4"
        assert document["energy_model_because"] is None
        unknown = edge_hardware.load_board("rpi4+coral-usb")
        document = runtime.report(unknown).as_dict()
    assert document["energy_model"] is None
    assert "rpi4+coral-usb" in document["energy_model_because"]


def test_a_report_has_what_its_parts_have(bundle: Path) -> None:
    with Runtime(bundle, deadline_ms=1000) as runtime:
        report = runtime.report(edge_hardware.load_board("rpi4")).with_command(["edge", "run"])
    document = report.as_dict()
    same = ("drops", "deadline_ms", "deadline_misses", "stages", "thermal", "mlperf", "command")
    for name in (*same, "scenario"):
        assert getattr(report, name) == document[name]  # type: ignore[literal-required]
    assert (report.kind, report.subject.bundle) == ("run", document["bundle"])
    assert report.energy is None and document["energy_measured"] is None
    assert report.estimate is not None
    assert report.estimate.as_dict() == document["energy_model"]


def test_a_report_is_saved_as_json_and_page(bundle: Path, tmp_path: Path) -> None:
    with Runtime(bundle) as runtime, open_camera("fake?fps=max&frames=5") as camera:
        list(runtime.run(camera))
        report = runtime.report()
    page = report.save(tmp_path / "新 report")
    assert page.name == "report.html"
    document = json.loads((tmp_path / "新 report" / "run.json").read_text("utf-8"))
    assert document["results"] == 5
    assert isinstance(report, RunReport)


def test_an_engine_without_bounds_is_unproven(bundle: Path) -> None:
    with Runtime(bundle, "fake") as runtime:
        assert runtime.golden.passed is None
        assert runtime.report().as_dict()["golden"]["rule"] == "unproven"


def test_what_cannot_be_opened(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="does not exist"):
        Runtime(tmp_path / "nothing.edge")
    damaged = tmp_path / "damaged.edge"
    damaged.write_bytes(bundle.read_bytes()[:-10])
    with pytest.raises(BundleError):
        Runtime(damaged)
    with pytest.raises(ConfigError, match="litrt"):
        Runtime(bundle, "litrt")
    with pytest.raises(ConfigError, match="threads"):
        Runtime(bundle, threads=0)
    with pytest.raises(ConfigError, match="newest"):
        Runtime(bundle, policy="newest")  # type: ignore[arg-type]
    for deadline in (-1.0, math.nan):
        with pytest.raises(ConfigError, match="deadline"):
            Runtime(bundle, deadline_ms=deadline)
    for score in (-0.1, 7.0, math.nan):
        with pytest.raises(ConfigError, match="min_score"):
            Runtime(bundle, min_score=score)
    for options in ({"frames": 0}, {"seconds": 0}, {"seconds": math.nan}, {"frames": math.nan}):
        with (
            Runtime(bundle) as runtime,
            open_camera("fake?frames=3&fps=max") as camera,
            pytest.raises(ConfigError, match="a run of"),
        ):
            next(runtime.run(camera, **options))


def test_golden_outputs_that_do_not_match(tiny_parts: Callable[..., Any], tmp_path: Path) -> None:
    from edge_sdk.bundle.reading import write_bundle

    manifest, members = tiny_parts()
    _, other = tiny_parts(seed=5)
    path = tmp_path / "wrong.edge"
    write_bundle(path, manifest, members | {"golden.npz": other["golden.npz"]})
    with pytest.raises(GateFailed) as caught:
        Runtime(path)
    assert caught.value.exit_status == 3


@pytest.mark.parametrize(
    ("seconds", "n", "steady", "throttled", "reasons"),
    [
        (10.0, 662, True, False, {}),
        (9.9, 662, True, False, {"short": "9.9 s after the warm-up (at least 10 s are needed)"}),
        (9.9, 662, False, False, {"short": "9.9 s after the warm-up (at least 10 s are needed)"}),
        (10.0, 661, True, False, {"too-few-samples": "661 samples (at least 662 are needed)"}),
        (10.0, 662, True, True, {"throttled": "the processor was throttled"}),
        (
            *(10.0, 662, True, None),
            {"throttling-unknown": "throttling cannot be read on this machine"},
        ),
        (
            *(10.0, 662, False, False),
            {
                "not-steady": "not steady: the median latencies of the two halves differ by more "
                "than 10 %"
            },
        ),
    ],
)
def test_when_a_run_is_valid(
    tmp_path: Path,
    seconds: float,
    n: int,
    steady: bool,
    throttled: bool | None,
    reasons: dict[str, str],
) -> None:
    if throttled is not None:
        bits = tmp_path / "devices/platform/soc/soc:firmware/get_throttled"
        bits.parent.mkdir(parents=True)
        bits.write_text("4" if throttled else "0")
    assert why_invalid(seconds, n, steady, [Thermal(tmp_path)]) == [*reasons.items()]


@pytest.mark.parametrize(
    ("joules", "shown"),
    [(2.5, "2.50 J"), (0.25, "250 mJ"), (0.001, "1.00 mJ"), (6.7e-6, "6.70 µJ")],
)
def test_energy_of_a_model_says_so_in_a_readable_unit(
    bundle: Path, joules: float, shown: str
) -> None:
    with Runtime(bundle) as runtime:
        document = runtime.report(edge_hardware.load_board("rpi4")).as_dict()
    document["energy_model"] |= {"joules_per_inference": joules, "uncertainty": joules}
    assert f"not measured; MODEL for rpi4: {shown} ± {shown} per inference" in summary(document)


def test_a_meters_energy_is_in_the_report(bundle: Path, tmp_path: Path) -> None:
    meter = FakeSampler(5.0)
    with Runtime(bundle) as runtime, open_camera("synthetic?fps=30&frames=60") as camera:
        for _ in runtime.run(camera, samplers=[meter]):
            pass
        report = runtime.report()
    report.save(tmp_path)
    document = json.loads((tmp_path / "run.json").read_text("utf-8"))
    energy = document["energy_measured"]
    assert energy["joules_per_inference"] == pytest.approx(5 * report.seconds / report.n)
    assert (energy["replayed"], energy["valid"], energy["meter"]) == (True, False, "fake")
    assert meter.windows[0].n == report.n and meter.windows[0].seconds == report.seconds
    assert "REPLAYED" in (tmp_path / "report.html").read_text("utf-8")
    shown = summary(document)
    assert "per inference (fake, class B, replayed); not valid: the meter is made up" in shown
    assert "not measured" not in shown


def test_a_meter_that_cannot_be_started_is_an_error_and_one_that_fails_later_a_reason(
    bundle: Path,
) -> None:
    camera = "synthetic?fps=30&frames=45"
    with pytest.raises(SamplerError, match="cannot be started: the meter does not answer"):
        stream(bundle, camera, samplers=[FakeSampler(fail_at=["start"])])
    report, error = stream(bundle, camera, samplers=[FakeSampler(fail_at=["finish"])])
    assert error is None and report.n > 0
    document = report.as_dict()
    assert "sampler-failed" in document["invalid_codes"]
    assert "energy_measured: the meter does not answer" in document["invalid_because"]
