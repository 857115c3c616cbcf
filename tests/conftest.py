"""What every test may ask for: a real bundle, pictures, the command, the shared data."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers
from hypothesis import HealthCheck, settings

from edge_sdk.bundle import Golden, write_bundle
from edge_sdk.engines import open_engine
from edge_sdk.frames import Frame
from edge_sdk.golden import LEAST_STEPS, answers, difference
from edge_sdk.images import write_image
from edge_sdk.manifest import (
    GoldenEntry,
    InputEntry,
    LabelsEntry,
    Manifest,
    ModelEntry,
    OutputEntry,
    SequenceEntry,
    TensorEntry,
)
from edge_sdk.postprocess import Postprocess, roles_of
from edge_sdk.preprocess import PreprocessSpec
from edge_sdk.tasks.anchors import Anchors
from edge_sdk.tflite.graph import read_graph
from edge_sdk.tflite.tiny import tiny_classifier

REPOSITORY = Path(__file__).parent.parent
SHARED_DATA = REPOSITORY.parent / "shared" / "data"

# A job that a shell starts in the background ignores Ctrl-C, and so would all that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

CAMPAIGN = os.environ.get("EDGE_SDK_CAMPAIGN") == "1"

# Seeded in every run, searching in a campaign. Examples have no deadline: machines are shared.
settings.register_profile(
    "edge-sdk",
    deadline=None,
    derandomize=not CAMPAIGN,
    max_examples=2000 if CAMPAIGN else 100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("edge-sdk")

Parts = tuple[Manifest, dict[str, bytes]]

LONGEST = ("test_demo.py", "test_second_environment.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These files first, so that at the end no process waits for the other. pytest 9 takes no such
    order from its command line: it drops what another argument holds.
    """
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(scope="session", autouse=True)
def session_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test touches the state folder of whoever runs it; one folder serves the whole session, so
    that a bundle is opened in a child process once, not once a test.
    """
    folder = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder))
        yield folder


@pytest.fixture
def fresh_state(tmp_path: Path) -> Iterator[Path]:
    """A state folder that has accepted nothing yet: `$XDG_STATE_HOME/edge-sdk`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        yield tmp_path / "state" / "edge-sdk"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of models and photos beside the repository."""
    if not SHARED_DATA.is_dir():
        pytest.skip("NOT TESTED: there is no ../shared/data beside the repository")
    return SHARED_DATA


@pytest.fixture
def campaign(record_property: Callable[[str, object], None]) -> Callable[[str, int, int], int]:
    """`campaign("bundles", sample, full)`: how many to try, and recorded: all with
    EDGE_SDK_CAMPAIGN=1.
    """

    def count(what: str, sample: int, full: int) -> int:
        tried = full if CAMPAIGN else sample
        record_property(what, tried)
        return tried

    return count


@pytest.fixture(scope="session")
def unmeasured() -> dict[str, str]:
    """The environment of a process that a test kills or lets run out of room: its coverage is not
    measured, because the record would be left half written.
    """
    return {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE")}


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the source tree."""
    return REPOSITORY


@pytest.fixture(scope="session")
def tiny_parts() -> Callable[..., Parts]:
    """`tiny_parts(**options)`: manifest and members of a bundle; options as `_parts` names them.

    Members are a dictionary of the caller's own, to change as it likes.
    """

    def make(**options: Any) -> Parts:
        manifest, members = _parts(**options)
        return manifest, dict(members)

    return make


@pytest.fixture(scope="session")
def tiny_bundle(
    tiny_parts: Callable[..., Parts], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """`tiny_bundle(folder=None, **options)`: the path of a real, written bundle.

    Options and defaults are those of `_parts`: shape (height, width, channels), classes, dtype,
    seed, labels, build (a JSON text), name, version, preprocess, postprocess, samples, origin.
    """

    def make(folder: Path | None = None, **options: Any) -> Path:
        manifest, members = tiny_parts(**options)
        folder = folder or tmp_path_factory.mktemp("bundle")
        path = folder / f"{manifest.name}-{manifest.version}.edge"
        write_bundle(path, manifest, members)
        return path

    return make


@pytest.fixture(scope="session")
def segfaulting_model() -> bytes:
    """A .tflite file that ends the interpreter that opens it: a constant lies outside the file, but
    offset + size wraps around 2^64, so that LiteRT's own check passes.
    """
    model = schema.ModelT.InitFromPackedBuf(tiny_classifier(), 0)
    (weights,) = (t for t in model.subgraphs[0].tensors if t.name == b"weights")
    buffer = model.buffers[weights.buffer]
    buffer.data, buffer.offset, buffer.size = None, 2**64 - 2**40, 2**40 + 48
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.fixture(scope="session")
def tiny_detector() -> Callable[..., bytes]:
    """`tiny_detector("ssd", size=8)`: a real .tflite that finds red, green and blue pixels.

    It takes pixels / 255, (size, size) of them; each is an anchor, and its channels are the scores
    of three classes. "ssd" answers raw boxes and scores, "background" the same with a class 0 that
    is nothing, "built-in" ends in TFLite_Detection_PostProcess.
    """
    return _detector


@pytest.fixture(scope="session")
def detector_parts() -> Callable[..., Parts]:
    """`detector_parts("ssd", size=8, labels=("red", "green", "blue"), fit="stretch", **keys)`:
    manifest and members of a bundle with a `tiny_detector`; keys: those of postprocess that differ.
    """
    return _detector_parts


@pytest.fixture(scope="session")
def detector_bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The path of such a bundle, written."""

    def make(ending: str = "ssd", **options: Any) -> Path:
        path = tmp_path_factory.mktemp("detector") / "pixels-1.0.0.edge"
        write_bundle(path, *_detector_parts(ending, **options))
        return path

    return make


@pytest.fixture(scope="session")
def write_pictures() -> Callable[..., list[Path]]:
    """`write_pictures(folder, count, size=(16, 12), suffix=".png", seed=0)`: random colour pictures
    (width, height), named 000.png and so on.
    """

    def make(
        folder: Path,
        count: int,
        *,
        size: tuple[int, int] = (16, 12),
        suffix: str = ".png",
        seed: int = 0,
    ) -> list[Path]:
        random = np.random.default_rng(seed)
        paths = [folder / f"{number:03}{suffix}" for number in range(count)]
        for path in paths:
            pixels = random.integers(0, 256, (size[1], size[0], 3), np.uint8)
            write_image(path, Frame(pixels, "bgr"))
        return paths

    return make


@pytest.fixture(scope="session")
def write_video() -> Callable[..., Path]:
    """`write_video(path, frames=10, size=(64, 48), fps=25, codec="mpeg4")`: a video of flat grey
    frames; frame i has the value 8 * i.
    """

    def make(
        path: Path,
        *,
        frames: int = 10,
        size: tuple[int, int] = (64, 48),
        fps: int = 25,
        codec: str = "mpeg4",
    ) -> Path:
        av = pytest.importorskip("av", reason="NOT TESTED: PyAV is not installed")
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=fps)
            stream.width, stream.height = size
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            for index in range(frames):
                pixels = np.full((size[1], size[0], 3), 8 * index % 256, np.uint8)
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path

    return make


class CameraServer:
    """A network camera in a process of its own; `tests/servers` says what it understands.

    Its address stays the same when it is killed and started again.
    """

    def __init__(self, command: list[str], url: str) -> None:
        self._command, self._url = command, url
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Of its stream."""
        return self._url.format(port=self.port)

    def start(self) -> None:
        """Serve from now on."""
        self.process = subprocess.Popen(
            [*self._command, str(self.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={name: v for name, v in os.environ.items() if not name.startswith("COVERAGE")},
        )
        assert self.process.stdout is not None
        if self.process.stdout.readline() != "ready\n":
            self.kill()
            pytest.skip(
                f"NOT TESTED: {Path(self._command[1]).name} does not run; its head says why"
            )

    def say(self, line: str) -> None:
        """Change how it behaves."""
        assert self.process is not None and self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def signal(self, number: signal.Signals) -> None:
        """Freeze it (SIGSTOP) or let it go on (SIGCONT)."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """Switch it off at once."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


@contextmanager
def _camera_servers() -> Iterator[Callable[[str], CameraServer]]:
    pytest.importorskip("av", reason="NOT TESTED: PyAV is not installed")
    started = []
    servers = {
        "http": (sys.executable, "mjpeg_over_http.py", "http://127.0.0.1:{port}/stream.mjpg"),
        "rtsp": (sys.executable, "h264_over_rtsp.py", "rtsp://127.0.0.1:{port}/cam"),
        "gstreamer": ("/usr/bin/python3", "gstreamer_rtsp.py", "rtsp://127.0.0.1:{port}/cam"),
    }

    def start(kind: str) -> CameraServer:
        python, script, url = servers[kind]
        if not Path(python).exists():
            pytest.skip(f"NOT TESTED: there is no {python}")
        server = CameraServer([python, str(Path(__file__).parent / "servers" / script)], url)
        started.append(server)
        server.start()
        return server

    try:
        yield start
    finally:
        for server in started:
            server.kill()


@pytest.fixture
def camera_server() -> Iterator[Callable[[str], CameraServer]]:
    """`camera_server("rtsp")` or `("http")`: a CameraServer of the test's own, to be disturbed."""
    with _camera_servers() as start:
        yield start


@pytest.fixture(scope="session")
def steady_camera() -> Iterator[Callable[[str], str]]:
    """`steady_camera("rtsp")`, `("http")` or `("gstreamer")`: the URL of one left undisturbed."""
    with _camera_servers() as start:
        yield lru_cache(lambda kind: start(kind).url)


class DrivenClock:
    """Time that passes only when somebody sleeps or says so. `sleeps`: every sleep, in seconds."""

    def __init__(self) -> None:
        self.ns = 1_000_000_000
        self.sleeps: list[float] = []

    def now_ns(self) -> int:
        return self.ns

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.ns += round(seconds * 1e9)

    def advance(self, seconds: float) -> None:
        self.ns += round(seconds * 1e9)


@pytest.fixture
def driven_clock() -> DrivenClock:
    """A clock of one thread: `now_ns`, `sleep`, `advance(seconds)`."""
    return DrivenClock()


@pytest.fixture(scope="session")
def command() -> Callable[..., subprocess.CompletedProcess[str]]:
    """`command("predict", …, env={…}, cwd=…)`: the finished process of that `edge-sdk` line."""

    def run(
        *arguments: str | Path, env: dict[str, str] | None = None, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "edge_sdk.cli", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=300,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            check=False,
        )

    return run


@lru_cache(maxsize=64)
def _parts(
    *,
    shape: tuple[int, ...] = (4, 4, 1),
    classes: int = 3,
    dtype: str = "int8",
    seed: int = 0,
    labels: tuple[str, ...] | None = None,
    build: str | None = None,
    name: str = "tiny",
    version: str = "1.0.0",
    preprocess: PreprocessSpec | None = None,
    postprocess: Postprocess | None = None,
    samples: int = 10,
    origin: str = "synthetic",
) -> Parts:
    """A bundle's contents with golden outputs that LiteRT really gave; pixels / 255 by default.

    shape: (height, width, channels), (frames, height, width, channels) or (frames, features).
    """
    model = tiny_classifier(shape, classes, seed=seed, dtype=dtype)  # type: ignore[arg-type]
    labels = labels or tuple(f"class{number}" for number in range(classes))
    if preprocess is None and len(shape) > 2:
        color = "gray" if shape[-1] == 1 else "rgb"
        preprocess = PreprocessSpec(color, mean=(0.0,), std=(255.0,))
    with open_engine("litert", model) as engine:
        inputs = _golden_inputs(samples, engine.inputs[0].shape, dtype, seed)
        outputs = answers(engine, inputs)
        info, image, scores = engine.info, engine.inputs[0], engine.outputs[0]
    golden = Golden(inputs, outputs)
    manifest = Manifest(
        name,
        version,
        "classify" if len(shape) == 3 else "sequence",
        {"litert": ModelEntry("model.tflite", dtype, read_graph(model).macs)},
        InputEntry(TensorEntry.of(image), preprocess),
        (OutputEntry("scores", TensorEntry.of(scores)),),
        LabelsEntry("labels.txt", len(labels)),
        GoldenEntry(
            *("golden.npz", samples, origin),  # type: ignore[arg-type]
            *(info.name, info.version, info.resolver, info.delegate),
            _steps(model, golden, dtype),
        ),
        postprocess or Postprocess(),
        sequence=None if len(shape) == 3 else SequenceEntry(shape[0], 1),
    )
    members = {
        "model.tflite": model,
        "labels.txt": "".join(f"{label}\n" for label in labels).encode(),
        "golden.npz": golden.to_npz(),
    }
    if build is not None:
        members["build.json"] = build.encode()
    return manifest, members


def _golden_inputs(
    samples: int, shape: tuple[int, ...], dtype: str, seed: int
) -> tuple[np.ndarray[Any, Any]]:
    random = np.random.default_rng(seed)
    if dtype == "float32":
        return (random.random((samples, *shape), np.float32),)
    info = np.iinfo(dtype)
    return (random.integers(info.min, info.max, (samples, *shape), dtype, endpoint=True),)


def _steps(model: bytes, golden: Golden, dtype: str) -> int:
    """CONTRACTS.md: max(4, 1 + the largest difference between XNNPACK and no delegate)."""
    if dtype == "float32":
        return LEAST_STEPS
    with open_engine("litert", model, resolver="builtin-without-delegates") as engine:
        seen = answers(engine, golden.inputs)
    pairs = zip(golden.outputs, seen, strict=True)
    return max(LEAST_STEPS, 1 + int(max(difference(*pair) for pair in pairs)))


@lru_cache(maxsize=16)
def _detector(ending: str = "ssd", size: int = 8) -> bytes:
    """A .tflite whose anchors are pixels, and whose scores are their colours."""
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.operatorCodes, model.buffers = 3, [], [schema.BufferT()]
    graph.tensors, graph.operators, model.subgraphs = [], [], [graph]
    count, columns = size * size, 3 if ending == "ssd" else 4
    kinds = {"f": schema.TensorType.FLOAT32, "i": schema.TensorType.INT32}

    def tensor(shape: list[int], data: Any = None) -> int:
        made = schema.TensorT()
        made.name, made.shape, made.buffer = f"tensor{len(graph.tensors)}".encode(), shape, 0
        made.type = schema.TensorType.FLOAT32 if data is None else kinds[data.dtype.kind]
        if data is not None:
            made.buffer, buffer = len(model.buffers), schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            model.buffers.append(buffer)
        graph.tensors.append(made)
        return len(graph.tensors) - 1

    def operator(name: str, options: Any, inputs: list[int], outputs: list[int]) -> None:
        code, made = schema.OperatorCodeT(), schema.OperatorT()
        code.version, code.builtinCode = 1, getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode = code.builtinCode
        made.opcodeIndex, made.inputs, made.outputs = len(model.operatorCodes), inputs, outputs
        if isinstance(options, bytes):
            code.customCode = b"TFLite_Detection_PostProcess"
            made.customOptions = np.frombuffer(options, np.uint8)
        else:
            kind = type(options).__name__.removesuffix("T")
            made.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            made.builtinOptions = options
        model.operatorCodes.append(code)
        graph.operators.append(made)

    def reshaped(source: int, shape: list[int]) -> int:
        options, out = schema.ReshapeOptionsT(), tensor(shape)
        options.newShape = shape
        wanted = tensor([len(shape)], np.array(shape, np.int32))
        operator("RESHAPE", options, [source, wanted], [out])
        return out

    def weighted(source: int, weights: Any) -> int:
        """[1, pixels, columns]: of each pixel's colours what `weights` (columns, 3) make."""
        rows, out = reshaped(source, [count, 3]), tensor([count, len(weights)])
        matrix = tensor(list(weights.shape), weights.astype(np.float32))
        operator("FULLY_CONNECTED", schema.FullyConnectedOptionsT(), [rows, matrix, -1], [out])
        return reshaped(out, [1, count, len(weights)])

    image = tensor([1, size, size, 3])
    boxes = weighted(image, np.zeros((4, 3)))
    scores = weighted(image, np.eye(columns, 3, 3 - columns))
    graph.inputs, graph.outputs = [image], [boxes, scores]
    if ending == "built-in":
        x, y, width, height = _pixels(size).grid(size, size).T
        anchors = tensor([count, 4], np.stack([y, x, height, width], axis=1))
        graph.outputs = [tensor([1, 10, 4]), tensor([1, 10]), tensor([1, 10]), tensor([1])]
        settings = {
            **{"max_detections": 10, "max_classes_per_detection": 1, "num_classes": 3},
            **{"nms_score_threshold": 0.1, "nms_iou_threshold": 0.6},
            **{"y_scale": 10.0, "x_scale": 10.0, "h_scale": 5.0, "w_scale": 5.0},
        }
        options = bytes(flexbuffers.Dumps(settings))
        operator("CUSTOM", options, [boxes, scores, anchors], graph.outputs)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _pixels(size: int) -> Anchors:
    """One anchor for each pixel, as large as it."""
    shares = {"min_scale": 1 / size, "max_scale": 1 / size}
    return Anchors((1,), **shares, aspect_ratios=(1.0,), interpolated=0.0, reduced=False)


def _detector_parts(
    ending: str = "ssd",
    *,
    size: int = 8,
    labels: tuple[str, ...] = ("red", "green", "blue"),
    fit: Any = "stretch",
    **postprocess: Any,
) -> Parts:
    """The contents of a bundle with `_detector`."""
    model = _detector(ending, size)
    known: dict[str, Any] = {"classes": 3}
    if ending != "built-in":
        known = {"decode": "ssd", "anchors": _pixels(size)}
        known["label_offset"] = int(ending == "background")
    post = Postprocess(**{"min_score": 0.5, **known, **postprocess})
    with open_engine("litert", model) as engine:
        inputs = _golden_inputs(10, engine.inputs[0].shape, "float32", 0)
        golden = Golden(inputs, answers(engine, inputs))
        info, image, found = engine.info, engine.inputs[0], engine.outputs
    manifest = Manifest(
        "pixels",
        "1.0.0",
        "detect",
        {"litert": ModelEntry("model.tflite", "float32")},
        InputEntry(TensorEntry.of(image), PreprocessSpec("rgb", fit, mean=(0.0,), std=(255.0,))),
        tuple(
            OutputEntry(role, TensorEntry.of(spec))
            for role, spec in zip(roles_of(post.decode), found, strict=True)
        ),
        LabelsEntry("labels.txt", len(labels)),
        GoldenEntry(
            *("golden.npz", 10, "synthetic", info.name, info.version, info.resolver),  # type: ignore[arg-type]
            *(info.delegate, LEAST_STEPS),
        ),
        post,
    )
    members = {
        "model.tflite": model,
        "labels.txt": "".join(f"{label}\n" for label in labels).encode(),
        "golden.npz": golden.to_npz(),
    }
    return manifest, members
