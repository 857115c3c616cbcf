"""What is attached: looked for in folders that look like /dev and /sys."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_device import open_camera
from edge_device.cameras.backends import BACKENDS
from edge_device.cameras.listing import ListedCamera, cameras_document, first_usable, list_cameras
from edge_device.cameras.spec import CameraSpec
from edge_device.cameras.v4l2 import Device, device_of, query, sources
from edge_sdk.errors import CameraError

CAMERA = Device("uvcvideo", "HD Webcam", True)
METADATA = Device("uvcvideo", "HD Webcam", False)
PORT = Device("unicam", "unicam-image", True)


@pytest.fixture
def machine(tmp_path: Path) -> Callable[..., list[ListedCamera]]:
    """`machine(video0=Device(…), …)`: the USB cameras found where these devices are attached."""

    def make(**devices: Device | CameraError) -> list[ListedCamera]:
        dev, sys = tmp_path / "dev", tmp_path / "sys"
        for name in devices:
            (sys / "class" / "video4linux" / name).mkdir(parents=True)
            (sys / "class" / "video4linux" / name / "name").write_text(f"Name of {name}\n")
            dev.mkdir(exist_ok=True)
            (dev / name).touch()

        def ask(path: Path) -> Device:
            found = devices[path.name]
            if isinstance(found, CameraError):
                raise found
            return found

        return [found for found in list_cameras(dev, sys, ask) if found.kind == "v4l2"]

    return make


def test_cameras_in_the_order_of_their_numbers(machine: Any, tmp_path: Path) -> None:
    found = machine(video10=CAMERA, video2=CAMERA, video3=METADATA)
    assert [camera.spec for camera in found] == [
        f"v4l2:{tmp_path}/dev/video{number}" for number in (2, 3, 10)
    ]
    assert [camera.usable for camera in found] == [True, False, True]
    assert [camera.name for camera in found] == [f"Name of video{n}" for n in (2, 3, 10)]
    assert first_usable(found) == f"v4l2:{tmp_path}/dev/video2"


def test_why_a_device_is_not_usable(machine: Any) -> None:
    busy = CameraError("/dev/video9 may not be opened by this user", fix="sudo usermod")
    coder = Device("rpi-hevc-dec", "rpi-hevc-dec", True)
    pi, metadata, also_pi, refused = machine(
        video0=PORT, video1=METADATA, video2=coder, video9=busy
    )
    for found in (pi, also_pi):
        assert (found.usable, found.fix) == (False, "use picamera2")
    assert "not a capture device" in metadata.because
    assert (refused.because, refused.fix) == (str(busy), "sudo usermod")
    with pytest.raises(CameraError) as caught:
        first_usable([pi, metadata, refused])
    for word in ("video0", "unicam", "video1", "video9", "may not be opened"):
        assert word in str(caught.value)
    for words in ("--camera rtsp://", "folder:", "video:", "edge-sdk cameras"):
        assert words in caught.value.fix


def test_real_files_that_are_no_devices(tmp_path: Path) -> None:
    (tmp_path / "video0").write_bytes(b"no device")
    (tmp_path / "video1").mkdir()
    os.mkfifo(tmp_path / "video2")
    (tmp_path / "videos").touch()
    found = [c for c in list_cameras(tmp_path, tmp_path / "sys") if c.kind == "v4l2"]
    assert [camera.name for camera in found] == ["", "", ""]
    for camera, words in zip(
        found, ("is not a video device", "cannot be opened", "is not a video device"), strict=True
    ):
        assert not camera.usable
        assert words in camera.because
        assert camera.fix


def test_a_machine_without_cameras(tmp_path: Path) -> None:
    found = list_cameras(tmp_path / "dev", tmp_path / "sys")
    assert not any(camera.usable for camera in found if camera.kind == "v4l2")
    assert f"there is no {tmp_path}/dev/video*" in [camera.because for camera in found]


def test_a_pi_camera_comes_first() -> None:
    usb = ListedCamera("v4l2:/dev/video0", "v4l2", "webcam")
    assert first_usable([ListedCamera("picamera2:0", "picamera2", "imx708"), usb]) == "picamera2:0"
    absent = ListedCamera("picamera2", "picamera2", "", False, "picamera2 is not installed", "apt")
    assert first_usable([absent, usb]) == "v4l2:/dev/video0"


@pytest.mark.parametrize(
    ("path", "says", "fix"),
    [
        ("nothing", "there is no", "plug the camera in"),
        ("file", "is not a video device", "edge-sdk cameras"),
        ("folder", "cannot be opened", "edge-sdk cameras"),
        ("/dev/null", "/dev/null is not a video device", "edge-sdk cameras"),
    ],
)
def test_a_v4l2_camera_that_is_none(tmp_path: Path, path: str, says: str, fix: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(CameraError, match=says) as caught:
        open_camera(f"v4l2:{tmp_path / path}")
    assert fix in caught.value.fix


@pytest.mark.parametrize(
    ("capabilities", "of_node", "captures"),
    [
        (0x84A00001, 0x04200001, True),  # a USB camera's images
        (0x84A00001, 0x04A00000, False),  # its metadata, in a node of its own
        (0x00000001, 0, True),  # a driver from before nodes said what they can do
        (0x00000002, 0, False),
    ],
)
def test_what_a_node_can_do_is_what_counts(capabilities: int, of_node: int, captures: bool) -> None:
    """struct v4l2_capability of <linux/videodev2.h>, as uvcvideo fills it in."""
    words = struct.pack("=3I12x", 0x00060606, capabilities, of_node)
    texts = b"uvcvideo".ljust(16, b"\0") + b"HD Webcam".ljust(32, b"\0") + b"usb-1".ljust(32, b"\0")
    assert device_of(texts + words) == Device("uvcvideo", "HD Webcam", captures)


def test_a_device_that_this_user_may_not_open(tmp_path: Path) -> None:
    device = tmp_path / "video0"
    device.touch()
    device.chmod(0)
    if os.access(device, os.R_OK):
        pytest.skip("NOT TESTED: this user may open everything")
    with pytest.raises(CameraError, match="may not be opened") as caught:
        query(device)
    assert "usermod -aG video" in caught.value.fix


@pytest.mark.parametrize(
    ("spec", "options"),
    [
        (CameraSpec("", "v4l2", "/dev/video0"), [{}]),
        (
            CameraSpec("", "v4l2", "/dev/video0", fps=30, width=640, height=480),
            [{"video_size": "640x480", "framerate": "30"}],
        ),
        (
            CameraSpec("", "v4l2", "/dev/video0", fps=float("inf"), width=1280, height=720),
            [{"video_size": "1280x720", "input_format": "mjpeg"}, {"video_size": "1280x720"}],
        ),
        (
            CameraSpec("", "v4l2", "/dev/video0", fps=12.5, width=480, height=640, rotate=90),
            [{"video_size": "640x480", "framerate": "12.5"}],
        ),
        (CameraSpec("", "v4l2", "/dev/video0", width=640), [{}]),
    ],
)
def test_what_a_device_is_asked_for(spec: CameraSpec, options: list[dict[str, str]]) -> None:
    asked = sources(spec)
    assert [dict(source.options) for source in asked] == options
    assert {(source.url, source.format) for source in asked} == {("/dev/video0", "v4l2")}


def test_pyav_knows_video4linux() -> None:
    av = pytest.importorskip("av", reason="NOT TESTED: PyAV is not installed")
    with pytest.raises(av.error.FFmpegError):
        av.open("/dev/null", format="v4l2")


def test_the_document() -> None:
    document = cameras_document([ListedCamera("picamera2:0", "picamera2", "imx708")])
    assert document["schema"] == "edge-sdk/cameras/1"
    assert document["cameras"] == [
        {
            **{"spec": "picamera2:0", "kind": "picamera2", "name": "imx708"},
            **{"usable": True, "because": "", "fix": ""},
        }
    ]
    assert [kind["kind"] for kind in document["kinds"]] == list(BACKENDS)
    written = {kind["kind"]: kind["write"] for kind in document["kinds"]}
    assert written["rtsp"] == "rtsp://HOST/PATH"
    assert written["picamera2"] == "picamera2[:0]"
    assert written["synthetic"] == "synthetic"


def test_the_command(command: Callable[..., Any]) -> None:
    done = command("cameras")
    assert done.returncode == 0, done.stderr
    for words in ("picamera2", "v4l2:/dev/video0", "rtsp://HOST/PATH#fps=10", "folder:PATH"):
        assert words in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    document = json.loads(command("cameras", "--json").stdout)
    assert set(document) == {"schema", "cameras", "kinds"}
    assert {camera["kind"] for camera in document["cameras"]} == {"picamera2", "v4l2"}
    for camera in document["cameras"]:
        assert camera["usable"] or camera["because"]
