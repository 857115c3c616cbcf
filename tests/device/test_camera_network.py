"""Network cameras: what is decoded, what is said when it cannot be, and no password is shown."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_device import open_camera
from edge_device.cameras.fake import FakeCamera
from edge_device.cameras.network import source_of
from edge_device.cameras.pyav import to_frame
from edge_device.cameras.pyav_stream import Thinning, taken_ns
from edge_device.cameras.spec import CameraSpec
from edge_sdk import Frame
from edge_sdk.errors import CameraError
from edge_sdk.images.yuv import planes
from waiting import PATIENCE_S

Server = Callable[[str], Any]
Url = Callable[[str], str]
PLAIN = CameraSpec("", "")


@pytest.mark.parametrize(("kind", "color"), [("http", "yuvj420p"), ("rtsp", "yuv420p")])
def test_images_are_the_planes_that_were_sent(steady_camera: Url, kind: str, color: str) -> None:
    """Frame n is flat grey of the value 8 * n; in video range 16 to 235 stand for 0 to 255."""
    with open_camera(steady_camera(kind)) as camera:
        frames = [camera.read() for _ in range(4)]
    for frame in frames:
        assert (frame.color, frame.width, frame.height) == (color, 64, 48)
        luma, blue, red = (plane.astype(float) for plane in planes(frame))
        grey = luma if color == "yuvj420p" else (luma - 16) * 255 / 219
        assert np.abs(grey - 8 * round(grey.mean() / 8)).max() <= 3
        assert np.abs(blue - 128).max() <= 2 and np.abs(red - 128).max() <= 2
    assert len({frame.pixels.tobytes() for frame in frames}) > 1


@pytest.mark.parametrize("kind", ["http", "rtsp"])
def test_with_a_size_asked_for_images_are_rgb(steady_camera: Url, kind: str) -> None:
    with open_camera(f"{steady_camera(kind)}#width=32&height=32&rotate=90") as camera:
        frame = camera.read()
    assert frame is not None
    assert (frame.color, frame.pixels.shape) == ("rgb", (32, 32, 3))


@pytest.mark.parametrize("kind", ["http", "rtsp"])
def test_a_size_that_changes_on_the_way_is_no_fault(camera_server: Server, kind: str) -> None:
    server = camera_server(kind)
    with open_camera(server.url) as camera:
        assert camera.read() is not None
        server.say("size 96 64")
        while (frame := camera.read()) is not None and frame.width == 64:
            assert frame.index < 1000
        assert frame is not None
        assert (frame.width, frame.height, frame.pixels.shape) == (96, 64, (96, 96))
        assert camera.reopened == 0


@pytest.mark.parametrize(
    ("kind", "mode"), [("http", "corrupt"), ("http", "truncated"), ("rtsp", "corrupt")]
)
def test_damaged_images_are_skipped_and_counted(
    camera_server: Server, kind: str, mode: str
) -> None:
    server = camera_server(kind)
    with open_camera(server.url) as camera:
        assert camera.read() is not None
        server.say(mode)
        server.say("after 3")
        server.say("go")
        while camera.unreadable == 0:
            frame = camera.read()
            assert frame is not None and frame.index < 1000
        assert camera.read() is not None
        assert camera.reopened == 0


@pytest.mark.parametrize("kind", ["http", "rtsp"])
def test_whoever_reads_slowly_gets_the_newest_frame(steady_camera: Url, kind: str) -> None:
    with open_camera(steady_camera(kind)) as camera:
        second = camera.read()
        while not camera.missed:
            time.sleep(0.2)  # about 10 frames
            first, second = second, camera.read()
        assert first is not None and second is not None
        assert camera.missed == second.index - first.index - 1
        assert second.sensor_ns > first.sensor_ns


@pytest.mark.parametrize(
    ("path", "says", "fix"),
    [
        ("/nothing", "has no such stream", "path of the URL"),
        ("/private", "asks for a user and a password", "http://USER:PASSWORD@HOST"),
    ],
)
def test_what_a_server_refuses(steady_camera: Url, path: str, says: str, fix: str) -> None:
    url = steady_camera("http").replace("/stream.mjpg", path)
    with pytest.raises(CameraError, match=says) as caught:
        open_camera(url)
    assert fix in caught.value.fix


@pytest.mark.parametrize(
    ("kind", "says"), [("http", "no video stream"), ("rtsp", "no such stream")]
)
def test_what_is_no_stream(camera_server: Server, kind: str, says: str) -> None:
    server = camera_server(kind)
    server.say("wrong")
    with pytest.raises(CameraError, match=says):
        open_camera(server.url)


def test_user_and_password_are_used_and_not_shown(steady_camera: Url) -> None:
    url = steady_camera("http").replace("/stream.mjpg", "/private")
    with open_camera(url.replace("//", "//eye:s3cret@")) as camera:
        assert camera.read() is not None
        assert "s3cret" not in camera.spec.text
        assert "eye:***@" in camera.spec.text


def test_a_run_shows_no_password(
    camera_server: Server,
    tiny_bundle: Callable[..., Path],
    tmp_path: Path,
    wait_for: Callable[..., None],
) -> None:
    """Neither in its document, nor in the files, nor in what is said when the camera goes."""
    server = camera_server("http")
    url = server.url.replace("/stream.mjpg", "/private").replace("//", "//eye:s3cret@")
    lines = tmp_path / "r.jsonl"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "edge_sdk.cli", "run", str(tiny_bundle()), "--camera", url),
            *("--report", str(tmp_path), "--jsonl", str(lines), "--json"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: lines.exists() and lines.stat().st_size > 0, process)
    server.kill()
    assert process.stderr is not None
    stderr = ""
    while "is lost" not in stderr:
        line = process.stderr.readline()
        assert line, stderr
        stderr += line
    process.send_signal(signal.SIGTERM)
    stdout, rest = process.communicate(timeout=PATIENCE_S)
    stderr += rest
    assert process.returncode == 0, stderr
    document = json.loads(stdout)
    assert "eye:***@" in document["camera"]
    assert any("eye:***@" in word for word in document["command"])
    assert "still offline" in document["notes"][0]
    files = [path.read_text("utf-8") for path in tmp_path.iterdir()]
    assert len(files) == 3
    assert "s3cret" not in "".join([stdout, stderr, *files])


def test_the_errors_of_a_run_show_no_password(
    steady_camera: Url, tiny_bundle: Callable[..., Path], command: Callable[..., Any]
) -> None:
    url = steady_camera("http").replace("/stream.mjpg", "/private").replace("//", "//eye:wr0ng@")
    done = command("run", tiny_bundle(), "--camera", url, env={"EDGE_SDK_DEBUG": "1"})
    assert done.returncode == 1
    assert "Traceback" in done.stderr  # asked for
    assert "eye:***@" in done.stderr
    assert "wr0ng" not in done.stderr + done.stdout


def test_motion_jpeg_over_tls(steady_camera: Url, tmp_path: Path) -> None:
    """Through a relay in front of the server. Cameras sign their certificates themselves."""
    if shutil.which("openssl") is None:
        pytest.skip("NOT TESTED: there is no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
            *("-subj", "/CN=localhost", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    behind = int(steady_camera("http").split(":")[2].split("/")[0])
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        threading.Thread(target=relay, args=(listening, context, behind), daemon=True).start()
        with open_camera(f"https://127.0.0.1:{port}/stream.mjpg") as camera:
            frame = camera.read()
    assert frame is not None
    assert (frame.width, frame.height) == (64, 48)


def relay(listening: socket.socket, context: ssl.SSLContext, port: int) -> None:
    """One connection's request to `port`, and the answer back, until either side ends."""
    accepted, _ = listening.accept()
    with (
        context.wrap_socket(accepted, server_side=True) as client,
        socket.create_connection(("127.0.0.1", port)) as server,
        suppress(OSError),
    ):
        server.sendall(client.recv(65536))
        while data := server.recv(65536):
            client.sendall(data)


@pytest.mark.parametrize(
    ("asked", "camera_fps", "kept"),
    [(10, 50, 10), (20, 30, 20), (10, 12, 10), (10, 10, 10), (10, 5, 5), (None, 50, 50)],
)
def test_thinning_keeps_the_rate_on_average(
    asked: float | None, camera_fps: int, kept: int
) -> None:
    random = np.random.default_rng(0)
    thinning = Thinning(asked)
    jitter = random.uniform(-0.2, 0.2, 100 * camera_fps) / camera_fps
    times = (1_000 + np.arange(100 * camera_fps) / camera_fps + jitter) * 1e9
    count = sum(thinning.keeps(int(at)) for at in times)
    assert abs(count - 100 * kept) <= 2


def test_after_a_pause_thinning_goes_on_as_before() -> None:
    thinning = Thinning(10)
    assert [thinning.keeps(at * 10_000_000) for at in (0, 2, 10, 500, 502, 510)] == [
        *(True, False, True),
        *(True, False, True),
    ]


@pytest.mark.parametrize(
    ("size", "name", "space", "full", "color"),
    [
        ((64, 48), "yuv420p", 2, 0, "yuv420p"),
        ((64, 48), "yuv420p", 5, 1, "yuv420p"),
        ((64, 48), "yuv420p", 2, 2, "yuvj420p"),
        ((64, 48), "yuvj420p", 5, 2, "yuvj420p"),
        ((64, 48), "yuv420p", 1, 1, "rgb"),
        ((63, 48), "yuv420p", 2, 0, "rgb"),
        ((64, 47), "yuv420p", 2, 0, "rgb"),
        ((64, 48), "yuvj422p", 2, 2, "rgb"),
        ((64, 48), "yuyv422", 2, 0, "rgb"),
        ((64, 48), "gray", 2, 0, "rgb"),
        ((54, 48), "yuv420p", 2, 0, "yuv420p"),
    ],
)
def test_planes_where_the_decoder_gives_them_and_rgb_otherwise(
    size: tuple[int, int], name: str, space: int, full: int, color: str
) -> None:
    av = pytest.importorskip("av", reason="NOT TESTED: PyAV is not installed")
    width, height = size
    ramp = np.arange(width, dtype=np.uint8) + np.zeros((height, 1), np.uint8)
    grey = np.repeat(ramp[..., None], 3, axis=2)
    image = av.VideoFrame.from_ndarray(grey, format="rgb24").reformat(format=name)
    image.colorspace, image.color_range = space, full
    frame = to_frame(image, PLAIN, 7)
    assert (frame.color, frame.width, frame.height, frame.sensor_ns) == (color, *size, 7)
    if color in ("yuv420p", "yuvj420p"):
        padded = [np.frombuffer(p, np.uint8).reshape(-1, p.line_size) for p in image.planes]
        for got, sent in zip(planes(frame), padded, strict=True):
            assert np.array_equal(got, sent[: got.shape[0], : got.shape[1]])
    with FakeCamera(script=[frame]) as camera:
        assert camera.read() is not None


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        (CameraSpec("", "", width=64, height=48), True),
        (CameraSpec("", "", width=64), True),
        (CameraSpec("", "", height=40), False),
        (CameraSpec("", "", hflip=True), False),
        (CameraSpec("", "", rotate=180), False),
    ],
)
def test_planes_only_where_nothing_else_is_asked_for(asked: CameraSpec, kept: bool) -> None:
    av = pytest.importorskip("av", reason="NOT TESTED: PyAV is not installed")
    grey = np.zeros((48, 64, 3), np.uint8)
    image = av.VideoFrame.from_ndarray(grey, format="rgb24").reformat(format="yuv420p")
    assert (to_frame(image, asked, 0).color == "yuv420p") is kept


@pytest.mark.parametrize("shape", [(71, 64), (72, 63), (72, 64, 3)])
def test_planes_that_cannot_be_a_image(shape: tuple[int, ...]) -> None:
    frame = Frame(np.zeros(shape, np.uint8), "yuv420p")
    with FakeCamera(script=[frame]) as camera, pytest.raises(CameraError, match="gave"):
        camera.read()


@pytest.mark.parametrize(
    ("kernel_us", "taken"),
    [
        (99_966_667, 99_966_667_000),  # 33 ms ago
        (100_000_001, 100_000_000_000),  # not yet
        (99_000_000, 100_000_000_000),  # too long ago to be its time
        (1_763_800_000_000_000, 100_000_000_000),  # the time of day
    ],
)
def test_the_kernels_time_of_a_frame_where_it_is_one(kernel_us: int, taken: int) -> None:
    assert taken_ns(Fraction(kernel_us, 1_000_000), 100_000_000_000) == taken


def test_what_pyav_is_asked_for() -> None:
    rtsp = source_of(CameraSpec("", "rtsp", "rtsp://h/s?a=1"))
    assert (rtsp.url, rtsp.format, rtsp.options["rtsp_transport"]) == (
        *("rtsp://h/s?a=1", "rtsp"),
        "tcp",
    )
    https = source_of(CameraSpec("", "https", "https://h/a"))
    assert https.format == "mpjpeg"
    assert rtsp.options["timeout"] == https.options["rw_timeout"] == "30000000"
    assert "h/s" not in repr(rtsp)
