"""What this machine answers, for the arm64 roots to be compared with: models with inputs and the
outputs that LiteRT gives here, a bundle, and images for the virtual camera.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge_sdk import Frame, open_engine, read_image
from edge_sdk.bundle.manifest import GoldenEntry, LabelsEntry, Manifest, ModelEntry, Postprocess
from edge_sdk.bundle.reading import Golden, write_bundle
from edge_sdk.images.image_files import list_images, write_image
from edge_sdk.inference.golden import MIN_STEPS, answers
from edge_sdk.model.interface import InputEntry, OutputEntry, TensorEntry
from edge_sdk.preprocess import Preprocessor, PreprocessSpec
from edge_sdk.tensors import TensorSpec
from edge_sdk.tflite.graph import read_graph
from edge_sdk.tflite.tiny import tiny_classifier

REPOSITORY = Path(__file__).resolve().parent.parent.parent
SHARED_DATA = REPOSITORY.parent / "shared" / "data"
SAMPLES = 10
MAX_LEVELS = 3
IMAGE = (640, 480)
"""Of the virtual camera (virtual.yaml)."""

_SHARED_MODELS = (
    "kws_int8",
    "mobilenet_v1_0.25_224_float",
    "mobilenet_v1_0.25_224_quant",
    "resnet8_cifar10_float",
    "resnet8_cifar10_int8",
    "tf2_mobilenet_v2_1.0_224_ptq",
    "vww_96_float",
    "vww_96_int8",
)


def make_references(work: Path) -> None:
    """Fill `work`/models and `work`/frames."""
    (work / "models").mkdir()
    (work / "frames").mkdir()
    for name, model in models().items():
        (work / "models" / f"{name}.tflite").write_bytes(model)
        np.savez(work / "models" / f"{name}.npz", **_reference(model))
    for number, frame in enumerate(_images()):
        write_image(work / "frames" / f"{number}.jpg", frame)
    (work / "folder.json").write_text(json.dumps(folder_answers(work)))


def models() -> dict[str, bytes]:
    """Tiny ones made here, and the shared ones where they are."""
    found = {
        f"tiny_{dtype}": tiny_classifier((32, 32, 3), 10, dtype=dtype)
        for dtype in ("int8", "uint8", "float32")
    }
    for name in _SHARED_MODELS:
        path = SHARED_DATA / "models" / f"{name}.tflite"
        if path.is_file():
            found[name] = path.read_bytes()
    return found


def camera_model(work: Path) -> bytes:
    """An int8 model of images, ten classes: a trained one where the shared data is."""
    shared = work / "models" / "resnet8_cifar10_int8.tflite"
    return (shared if shared.is_file() else work / "models" / "tiny_int8.tflite").read_bytes()


COUNTED = ("tiny_int8", "vww_96_int8", "tf2_mobilenet_v2_1.0_224_ptq")
"""Whose instructions are counted (counts.py)."""


def make_bundles(work: Path) -> list[Path]:
    """Bundles of the models that are counted, as far as they are here."""
    folder = work / "bundles"
    folder.mkdir()
    found = models()
    return [_bundle(folder, name, found[name]) for name in COUNTED if name in found]


def _bundle(folder: Path, name: str, model: bytes) -> Path:
    with open_engine("litert", model) as engine:
        golden = Golden((_random(engine.inputs[0]),), ())
        golden = Golden(golden.inputs, answers(engine, golden.inputs))
        info, image, scores = engine.info, engine.inputs[0], engine.outputs[0]
    labels = [f"class{number}" for number in range(scores.shape[-1])]
    manifest = Manifest(
        *("counted", "1.0.0", "classify"),
        {"litert": ModelEntry("model.tflite", "int8", read_graph(model).macs)},
        InputEntry(TensorEntry.of(image), PreprocessSpec("rgb", mean=(0.0,), std=(255.0,))),
        (OutputEntry("scores", TensorEntry.of(scores)),),
        LabelsEntry("labels.txt", len(labels)),
        GoldenEntry(
            *("golden.npz", SAMPLES, "synthetic"),
            *(info.name, info.version, info.resolver, info.delegate, MIN_STEPS),
        ),
        Postprocess(),
    )
    members = {
        "model.tflite": model,
        "labels.txt": "".join(f"{label}\n" for label in labels).encode(),
        "golden.npz": golden.to_npz(),
    }
    path = folder / f"{name}.edge"
    write_bundle(path, manifest, members)
    return path


def fed(engine: Any, frame: Frame) -> Any:
    """The input tensor for a frame, made as the device makes it (RGB, crop)."""
    spec = engine.inputs[0]
    tensor = np.empty(spec.shape, spec.dtype)
    _preprocessor(spec)(frame, tensor)
    return tensor


def answer(engine: Any, tensor: Any) -> list[int]:
    """The first output's stored numbers for an input tensor."""
    numbers: list[int] = engine(tensor)[0].reshape(-1).tolist()
    return numbers


def folder_answers(work: Path) -> list[list[int]]:
    """For each image of the virtual camera, what the folder camera's model says of it here."""
    with open_engine("litert", camera_model(work)) as engine:
        frames = [read_image(path) for path in list_images(work / "frames")]
        return [answer(engine, fed(engine, frame)) for frame in frames]


def check_planes(work: Path) -> str:
    """What the virtual camera gave on arm64, answered here; what was seen, in words.

    Byte for byte the same answer to the tensor that was fed there. The tensor itself may differ by
    MAX_LEVELS: OpenCV's resize rounds otherwise on arm64 than on x86-64.
    """
    with np.load(work / "camera.npz") as seen, open_engine("litert", camera_model(work)) as engine:
        levels = 0
        for planes, tensor, outputs in zip(
            seen["planes"], seen["tensors"], seen["outputs"], strict=True
        ):
            here = answer(engine, tensor)
            assert here == outputs.tolist(), f"arm64 {outputs.tolist()}, here {here}"
            gap = fed(engine, Frame(planes, "yuvj420p")).astype(int) - tensor
            levels = max(levels, int(np.abs(gap).max()))
    assert levels <= MAX_LEVELS, f"tensors differ by {levels} levels"
    return f"equal for the tensors fed there; made here they differ by at most {levels} levels"


def _preprocessor(tensor: TensorSpec) -> Preprocessor:
    """One that stores pixel - 128, whatever the tensor's scale."""
    assert tensor.quant is not None
    zero = 128.0 + tensor.quant.zero_point
    return Preprocessor(PreprocessSpec("rgb", mean=(zero,), std=(1 / tensor.quant.scale,)), tensor)


def _reference(model: bytes) -> dict[str, Any]:
    with open_engine("litert", model) as engine:
        inputs = tuple(_random(spec) for spec in engine.inputs)
        outputs = answers(engine, inputs)
    named = {f"input_{number}": value for number, value in enumerate(inputs)}
    return named | {f"output_{number}": value for number, value in enumerate(outputs)}


def _random(spec: TensorSpec) -> Any:
    random = np.random.default_rng(0)
    shape = (SAMPLES, *spec.shape)
    if spec.dtype == "float32":
        return random.random(shape, np.float32)
    info = np.iinfo(spec.dtype)
    return random.integers(info.min, info.max, shape, spec.dtype, endpoint=True)


def _images() -> list[Frame]:
    """Photos where the shared data is, and shapes; all of the camera's size."""
    photos = SHARED_DATA / "images"
    frames = [read_image(path) for path in list_images(photos)[:3]] if photos.is_dir() else []
    return [*map(_sized, frames), *map(_shapes, range(2))]


def _sized(frame: Frame) -> Frame:
    """The middle of an image, scaled to the camera's size."""
    scale = max(IMAGE[0] / frame.width, IMAGE[1] / frame.height)
    size = (round(frame.width * scale), round(frame.height * scale))
    pixels = cv2.resize(frame.pixels, size, interpolation=cv2.INTER_AREA)
    left, top = (size[0] - IMAGE[0]) // 2, (size[1] - IMAGE[1]) // 2
    return Frame(pixels[top : top + IMAGE[1], left : left + IMAGE[0]].copy(), frame.color)


def _shapes(seed: int) -> Frame:
    random = np.random.default_rng(seed)
    pixels = np.full((IMAGE[1], IMAGE[0], 3), random.integers(0, 256, 3), np.uint8)
    for _ in range(8):
        centre = [int(random.integers(0, side)) for side in IMAGE]
        color = random.integers(0, 256, 3).tolist()
        cv2.circle(pixels, centre, int(random.integers(30, 150)), color, -1)
    # As soft as what a lens draws: hard edges show how colour at half resolution is scaled.
    return Frame(cv2.GaussianBlur(pixels, None, 8), "bgr")
