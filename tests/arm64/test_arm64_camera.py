"""In an arm64 root: the real picamera2, on libcamera's virtual camera, feeds our camera."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("libcamera", reason="this root has no libcamera")

import virtual_camera
from references import answer, camera_model, fed

from edge_device import open_camera
from edge_device.cameras.picamera2 import list_cameras
from edge_device.run.pipeline import Pipeline
from edge_sdk import Frame, open_engine, read_image
from edge_sdk.errors import CameraError
from edge_sdk.images import yuv
from edge_sdk.images.image_files import list_images

WORK = Path("/edge/case")
IMAGES = "picamera2:0?width=640&height=480"
BARS = "picamera2:1?width=640&height=480"

CLEAR_STEPS = 20
"""A decoded image has its colours at full resolution, the camera's planes at half: where the best
class is less than this ahead, either may win.
"""

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module", autouse=True)
def virtual() -> None:
    virtual_camera.install()


def margin(scores: list[int]) -> int:
    """How many steps the best class is ahead of the second."""
    second, best = sorted(scores)[-2:]
    return best - second


def nearest(frame: Frame, images: list[Any]) -> tuple[int, float]:
    """Which image a frame shows, and how far its brightness is from it on average."""
    luma = yuv.planes(frame)[0].astype(float)
    gaps = [float(np.abs(luma - image).mean()) for image in images]
    return int(np.argmin(gaps)), min(gaps)


def luma_of(path: Path) -> Any:
    """Y of an image as JPEG defines it."""
    blue, green, red = np.moveaxis(read_image(path).pixels.astype(float), -1, 0)
    return 0.299 * red + 0.587 * green + 0.114 * blue


def test_images_through_the_pipeline_are_answered_as_from_a_folder() -> None:
    images = [luma_of(path) for path in list_images(WORK / "frames")]
    wanted = json.loads((WORK / "folder.json").read_text())
    planes: dict[int, Any] = {}
    tensors: dict[int, Any] = {}
    outputs: dict[int, list[int]] = {}
    with (
        open_engine("litert", camera_model(WORK)) as engine,
        open_camera(IMAGES, inference=(96, 96)) as camera,
        Pipeline(camera, "latest") as pipeline,
    ):
        for frame, *_ in pipeline:
            assert 0 < frame.sensor_ns <= time.monotonic_ns()
            assert frame.image is not None
            assert frame.shown.color == frame.color == "yuvj420p"
            number, gap = nearest(frame, images)
            assert gap < 2
            planes[number], tensors[number] = frame.pixels, fed(engine, frame)
            outputs[number] = answer(engine, tensors[number])
            if len(outputs) == len(wanted):
                break
    order = range(len(wanted))
    np.savez(
        WORK / "camera.npz",
        planes=np.stack([planes[number] for number in order]),
        tensors=np.stack([tensors[number] for number in order]),
        outputs=np.array([outputs[number] for number in order]),
    )
    clear = [number for number in order if margin(wanted[number]) >= CLEAR_STEPS]
    assert clear
    for number in clear:
        assert np.argmax(outputs[number]) == np.argmax(wanted[number])
    largest = float(np.abs(np.array(wanted) - [outputs[number] for number in order]).max())
    with (WORK / "seen.jsonl").open("a") as seen:
        print(json.dumps({"camera": "virtual against folder", "steps": largest}), file=seen)


def test_two_streams_of_the_sizes_that_were_given() -> None:
    with open_camera(BARS, inference=(320, 240)) as camera:
        frame = camera.read()
        assert frame is not None and frame.image is not None
        assert (frame.width, frame.height) == (320, 240)
        assert (frame.image.width, frame.image.height) == (640, 480)
        assert frame.exposure_ns is None  # the virtual camera does not say


def test_without_a_model_there_is_one_stream() -> None:
    with open_camera(BARS) as camera:
        frame = camera.read()
        assert frame is not None and frame.image is None


def test_turned_sideways() -> None:
    with open_camera(f"{BARS}&rotate=90") as camera:
        frame = camera.read()
        assert frame is not None
        assert (frame.width, frame.height) == (480, 640)


def test_requests_are_released() -> None:
    """There are four buffers: a leak of one ends the stream within as many frames."""
    with open_camera(BARS, inference=(320, 240)) as camera:
        assert all(camera.read() is not None for _ in range(20))


def test_the_cameras_are_listed_by_the_number_that_opens_them() -> None:
    assert list_cameras() == [(0, "Images of a folder"), (1, "Colour bars")]
    with pytest.raises(CameraError, match="there is no camera 7") as caught:
        open_camera("picamera2:7")
    assert "picamera2:1 (Colour bars)" in caught.value.fix
