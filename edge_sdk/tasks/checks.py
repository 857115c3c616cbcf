"""Checks of a model's interface that several tasks make."""

from __future__ import annotations

from edge_sdk.errors import BundleError
from edge_sdk.model.interface import ModelInterface

REBUILD = "build the bundle again"


def require(fits: bool, wrong: str, *, fix: str = REBUILD) -> None:
    """Raises BundleError unless it fits."""
    if not fits:
        raise BundleError(wrong, fix=fix)


def check_single_image(interface: ModelInterface, where: str) -> None:
    """One sample is one image: [1, height, width, channels]. Raises BundleError."""
    require(interface.sequence is None, f'{where}: task "{interface.task}" has no "sequence"')
    check_pixels(interface, 4, where)


def check_pixels(interface: ModelInterface, rank: int, where: str) -> None:
    """The input has `rank` axes, the last one the colours, where it is preprocessed. Raises
    BundleError.
    """
    preprocess, shape = interface.input.preprocess, interface.input.tensor.shape
    if preprocess is not None:
        require(
            len(shape) == rank and shape[-1] == preprocess.channels,
            f"{where}: input shape {list(shape)} does not fit color {preprocess.color!r}",
        )
