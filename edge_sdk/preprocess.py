"""From a frame to the model's input tensor: the one path for calibration, evaluation and device.

Geometry (crop, stretch or letterbox) and resize run in OpenCV on the frame's own colour order, then
the small image is converted and lands in the input tensor. For 8-bit pixels the rest of the
mathematics, (pixel - mean) / std and quantization, is a table of 256 values a channel. Where that
table is the pixel itself, or the pixel with its top bit flipped, within SHORTCUT_STEPS, nothing is
looked up at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_sdk.configuration import limits
from edge_sdk.errors import ConfigError, ModelError
from edge_sdk.frames import YUV, Color, Frame, PixelFormat
from edge_sdk.images.color import convert, from_ycrcb
from edge_sdk.images.yuv import Area, PlaneResizer
from edge_sdk.tensors import TensorSpec, quantize

SHORTCUT_STEPS = 0.501
"""Largest distance from the exact value, in quantization steps, at which copy or xor stand in."""

Tail = Literal["copy", "xor", "table"]

_INTERPOLATION = {"linear": cv2.INTER_LINEAR, "area": cv2.INTER_AREA}


@dataclass(frozen=True)
class PreprocessSpec:
    """From an image to a model's input: `fed = (pixel - mean) / std` after fit, resize and colour
    conversion.

    mean and std hold one number, or one per channel in the order of `color`.
    """

    color: Color = "rgb"
    fit: Literal["stretch", "crop", "letterbox"] = "crop"
    resize: Literal["linear", "area"] = "linear"
    mean: tuple[float, ...] = (127.5,)
    std: tuple[float, ...] = field(default=(127.5,), metadata=limits(gt=0))

    @property
    def channels(self) -> int:
        """1 for "gray", else 3."""
        return 1 if self.color == "gray" else 3


class Placement(NamedTuple):
    """The place of the image in the tensor: `tensor = frame * scale + offset` (x, y; pixels)."""

    scale_x: float
    scale_y: float
    offset_x: float
    offset_y: float


class Preprocessor:
    """Writes frames into a tensor of shape (1, height, width, channels).

    Construction does all that does not depend on the frame. One instance serves one thread: its
    scratch images are reused.
    Raises ModelError when the tensor is no image of the spec's colour, ConfigError when mean or
    std have the wrong number of values.
    """

    def __init__(self, spec: PreprocessSpec, tensor: TensorSpec) -> None:
        self.spec = spec
        self.tensor = tensor
        if len(tensor.shape) != 4 or tensor.shape[0] != 1:
            raise ModelError(
                f"input {tensor.name} has shape {list(tensor.shape)}, not [1, height, width, "
                "channels]",
                fix="use a model with a batch of one image",
            )
        _, self.height, self.width, channels = tensor.shape
        if channels != spec.channels:
            raise ModelError(
                f"input {tensor.name} has {channels} channels, but color is {spec.color!r}",
                fix='use color "gray" for 1 channel, "rgb" or "bgr" for 3',
            )
        self.table = _table(spec, tensor)
        self.tail: Tail = _tail(self.table, spec, tensor)
        # A camera's frames all have one size: where they go is worked out once.
        self._fitted = lru_cache(maxsize=4)(self._fit)
        self._small = np.empty((0,), np.uint8)
        self._planes: PlaneResizer | None = None
        self._fed = np.empty((self.height, self.width, channels), np.uint8)

    def __call__(self, frame: Frame, out: NDArray[Any]) -> Placement:
        """Fill `out` (the tensor itself: its shape and dtype) from `frame`. Nothing is returned
        but where the image lies.
        """
        target = out[0]
        if self.tail == "table":
            placement = self.pixels(frame, self._fed)
            cv2.LUT(self._fed, self.table, dst=target)
        else:
            pixels = target.view(np.uint8)
            placement = self.pixels(frame, pixels)
            if self.tail == "xor":
                np.bitwise_xor(pixels, 0x80, out=pixels)
        return placement

    def pixels(self, frame: Frame, out: NDArray[Any]) -> Placement:
        """The image as the model sees it, before normalisation: fills `out`
        (height, width, channels; uint8) and says where the frame lies in it.
        """
        planes = frame.color in YUV
        used, inside, placement = self._fitted(frame.height, frame.width, 2 if planes else 1)
        target = out
        if inside is not None:
            out[:] = 0
            target = out[inside]
        if planes:
            self._resize_planes(frame, used, target)
        else:
            self._resize_and_convert(frame.pixels[used], frame.color, target)
        return placement

    def _fit(self, height: int, width: int, step: int) -> tuple[Area, Area | None, Placement]:
        """The part that is used of a frame of this size, and the part of the tensor that it fills
        (None: all of it). step: what the edges of a crop are multiples of, 2 where colour has half
        the resolution.
        """
        if self.spec.fit == "crop":
            scale = max(self.width / width, self.height / height)
            used_w = min(width, max(1, round(self.width / scale / step)) * step)
            used_h = min(height, max(1, round(self.height / scale / step)) * step)
            left, top = (width - used_w) // 2 // step * step, (height - used_h) // 2 // step * step
            scale_x, scale_y = self.width / used_w, self.height / used_h
            placement = Placement(scale_x, scale_y, -left * scale_x, -top * scale_y)
            return _area(top, left, used_h, used_w), None, placement
        whole = _area(0, 0, height, width)
        if self.spec.fit == "letterbox":
            scale = min(self.width / width, self.height / height)
            new_w = min(self.width, max(1, round(width * scale)))
            new_h = min(self.height, max(1, round(height * scale)))
            left, top = (self.width - new_w) // 2, (self.height - new_h) // 2
            placement = Placement(new_w / width, new_h / height, left, top)
            inside = (new_w, new_h) != (self.width, self.height)
            return whole, _area(top, left, new_h, new_w) if inside else None, placement
        return whole, None, Placement(self.width / width, self.height / height, 0.0, 0.0)

    def _resize_planes(self, frame: Frame, used: Area, target: NDArray[Any]) -> None:
        size = (target.shape[1], target.shape[0])
        if self._planes is None or self._planes.size != size:
            self._planes = PlaneResizer(size, _INTERPOLATION[self.spec.resize])
        if self.spec.color == "gray":
            np.copyto(target[:, :, 0], self._planes.luma(frame, used))
        else:
            small = self._planes.colors(frame, used)
            from_ycrcb(small, self.spec.color, target)

    def _resize_and_convert(
        self, source: NDArray[Any], color: PixelFormat, target: NDArray[Any]
    ) -> None:
        # Resize first: converting 720p pixels that the resize then throws away costs five times
        # as much. OpenCV writes into `dst` only where shape, type and layout fit; a strided
        # target (letterbox) fits too, a mismatch would be silently written elsewhere.
        size = (target.shape[1], target.shape[0])
        method = _INTERPOLATION[self.spec.resize]
        same_size = source.shape[:2] == target.shape[:2]
        plane = target[:, :, 0] if target.shape[2] == 1 else target
        if source.ndim == 3 and source.shape[2] == 1:
            source = source[:, :, 0]
        if color == self.spec.color:
            if same_size:
                np.copyto(plane, source)
            else:
                cv2.resize(source, size, dst=plane, interpolation=method)
            return
        if not same_size:
            shape = (size[1], size[0], *source.shape[2:])
            if self._small.shape != shape:
                self._small = np.empty(shape, np.uint8)
            source = cv2.resize(source, size, dst=self._small, interpolation=method)
        convert(source, color, self.spec.color, plane)


def _area(top: int, left: int, height: int, width: int) -> Area:
    return slice(top, top + height), slice(left, left + width)


def fed_values(spec: PreprocessSpec) -> NDArray[np.float64]:
    """The exact (pixel - mean) / std for pixels 0..255: shape (256, channels), float64.

    Raises ConfigError when mean or std have neither one value nor one per channel.
    """
    pixels = np.arange(256, dtype=np.float64)[:, None]
    return (pixels - _per_channel(spec, "mean")) / _per_channel(spec, "std")


def _per_channel(spec: PreprocessSpec, key: Literal["mean", "std"]) -> NDArray[np.float64]:
    values: tuple[float, ...] = getattr(spec, key)
    if len(values) not in (1, spec.channels):
        raise ConfigError(
            f"{key} has {len(values)} values for color {spec.color!r}",
            fix=f"give {key} one value, or {spec.channels}",
        )
    return np.broadcast_to(np.asarray(values, np.float64), (spec.channels,))


def _table(spec: PreprocessSpec, tensor: TensorSpec) -> NDArray[Any]:
    """fed_values as the tensor stores them: shape (1, 256, channels) as cv2.LUT wants it."""
    if tensor.dtype not in ("int8", "uint8", "float32"):
        raise ModelError(
            f"input {tensor.name} is {tensor.dtype}",
            fix="use a model with int8, uint8 or float32 input",
        )
    stored = quantize(fed_values(spec), tensor)
    return np.ascontiguousarray(stored.reshape(1, 256, spec.channels))


def _tail(table: NDArray[Any], spec: PreprocessSpec, tensor: TensorSpec) -> Tail:
    """The last step: a plain copy (uint8) or a flipped top bit (int8) where that is right for every
    pixel value, else a table.
    """
    if tensor.quant is None or tensor.dtype == "float32":
        return "table"
    exact = fed_values(spec) / tensor.quant.scale + tensor.quant.zero_point
    offset = 128 if tensor.dtype == "int8" else 0
    shortcut = np.arange(256, dtype=np.float64)[:, None] - offset
    if np.abs(exact - shortcut).max() > SHORTCUT_STEPS:
        return "table"
    return "xor" if tensor.dtype == "int8" else "copy"
