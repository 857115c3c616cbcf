"""The architectures as facts: what `edge-sdk models` shows. Nothing here imports TensorFlow.

Parameters and multiply-accumulates are those of the model with CLASSES classes; a test builds each
and counts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

from edge_converter.recipe.schema import Options
from edge_sdk.configuration import nearest
from edge_sdk.errors import ConfigError

CLASSES = 10
"""Classes of the models whose parameters and multiply-accumulates stand here."""

OWN = {
    "file:PATH.keras": "a Keras model of yours: its layers and its weights",
    "python:MODULE:FUNCTION": "FUNCTION(shape, classes) of yours returns a Keras model",
}
"""Values of `model.name` beside the names in ARCHITECTURES."""


@dataclass(frozen=True)
class Size:
    """The cost of an architecture at one input. shape: (height, width, channels), or (frames,
    features); macs: multiply-accumulates of one inference; width: the option, where it is taken.
    """

    shape: tuple[int, ...]
    parameters: int
    macs: int
    width: float | None = None


@dataclass(frozen=True)
class PretrainedInput:
    """`[input] mean` and `std` that an architecture's ImageNet weights demand, with color "rgb"."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Architecture:
    """One row of `edge-sdk models`.

    module: holds a function of the row's name, which takes the input as a Keras tensor and the
    recipe's Options and returns features, (batch, n). min_side: smallest height and width. options:
    those that it takes, and what they mean. pretrained: None where Keras has no weights.
    """

    name: str
    module: str
    suits: str
    sizes: tuple[Size, ...]
    min_side: int = 1
    options: Mapping[str, str] = field(default_factory=dict)
    pretrained: PretrainedInput | None = None

    @property
    def inputs(self) -> tuple[tuple[int, ...], ...]:
        """The shapes that `sizes` speaks of."""
        return tuple(dict.fromkeys(size.shape for size in self.sizes))

    def check_options(self, options: Options) -> None:
        """Raises ConfigError for an option that is set and not taken."""
        for name, value in _changed(options).items():
            if name not in self.options:
                taken = ", ".join(self.options) or "none"
                raise ConfigError(
                    f"{self.name} does not take model.options.{name} = {value}",
                    fix=f"remove {name} (its options: {taken})",
                )

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """shape: ([frames,] height, width, channels). Raises ConfigError for images that are too
        small.
        """
        height, width = shape[-3:-1]
        if min(height, width) < self.min_side:
            raise ConfigError(
                f"{self.name} needs images of at least {self.min_side} x {self.min_side}, "
                f"not {width} x {height}",
                fix=f"raise input.width and input.height to {self.min_side} or more",
            )


def find_architecture(name: str) -> Architecture:
    """The architecture that `model.name` names. Raises ConfigError for an unknown name."""
    if name not in ARCHITECTURES:
        raise ConfigError(f"unknown model {name!r}", fix=nearest(name, [*ARCHITECTURES, *OWN]))
    return ARCHITECTURES[name]


def refuse_options(name: str, options: Options) -> None:
    """For models of the user's own: raises ConfigError for any option that is set."""
    for option, value in _changed(options).items():
        raise ConfigError(
            f"{name} does not take model.options.{option} = {value}",
            fix="remove model.options: they belong to the architectures of `edge-sdk models`",
        )


def _changed(options: Options) -> dict[str, object]:
    """Options at another value than their default."""
    fields = dataclasses.fields(options)
    values = {f.name: (getattr(options, f.name), f.default) for f in fields}
    return {name: value for name, (value, default) in values.items() if value != default}


_PACKAGE = "edge_converter.models"
_SIGNED = PretrainedInput((127.5,), (127.5,))  # keras.applications preprocess_input, mode "tf"
_IMAGENET = PretrainedInput(
    (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
)  # 255 * mode "torch"
_WIDTH = "channels of every layer as a share of the full net's (alpha)"

ARCHITECTURES = {
    a.name: a
    for a in (
        Architecture(
            "seed_cnn",
            f"{_PACKAGE}.seed_cnn",
            "digits and the like; the reference",
            (Size((28, 28, 1), 225_034, 2_631_040), Size((224, 224, 3), 23_908_682, 285_461_120)),
            min_side=10,
        ),
        Architecture(
            "edge_net",
            f"{_PACKAGE}.edge_net",
            "operators fast in int8 on Arm and known to the Edge TPU; a student",
            (
                Size((28, 28, 1), 49_858, 2_210_984, 0.5),
                Size((96, 96, 3), 50_146, 3_327_680, 0.5),
                Size((96, 96, 3), 181_690, 10_747_264, 1.0),
            ),
            min_side=4,
            options={
                "width": "channels of every layer as a share of the full net's",
                "depth": "blocks of every stage as a share of the full net's",
                "space_to_depth": "start with squares of 4 x 4 pixels as channels, so that no "
                "arithmetic is done at full size; sides that 4 divides, at least 16",
            },
        ),
        Architecture(
            "tiny_cnn",
            f"{_PACKAGE}.tiny_cnn",
            "small grey images in microseconds",
            (Size((28, 28, 1), 10_506, 107_072, 0.75), Size((28, 28, 1), 16_170, 186_976, 1.0)),
            min_side=8,
            options={"width": "channels of both convolutions as a share of the full net's"},
        ),
        Architecture(
            "mobilenet_v1",
            f"{_PACKAGE}.applications",
            "plain layers: int8 and the Edge TPU",
            (
                Size((96, 96, 3), 834_666, 27_369_728, 0.5),
                Size((224, 224, 3), 834_666, 148_990_208, 0.5),
                Size((224, 224, 3), 3_239_114, 567_726_592, 1.0),
            ),
            min_side=32,
            options={"width": f"{_WIDTH}; ImageNet weights at 0.25, 0.5, 0.75, 1.0"},
            pretrained=_SIGNED,
        ),
        Architecture(
            "mobilenet_v2",
            f"{_PACKAGE}.applications",
            "photographs, with pretrained weights; int8 and the Edge TPU",
            (
                Size((96, 96, 3), 719_034, 17_618_240, 0.5),
                Size((96, 96, 3), 2_270_794, 55_021_952, 1.0),
                Size((224, 224, 3), 2_270_794, 299_507_072, 1.0),
            ),
            min_side=32,
            options={"width": f"{_WIDTH}; ImageNet weights at 0.35, 0.5, 0.75, 1.0, 1.3, 1.4"},
            pretrained=_SIGNED,
        ),
        Architecture(
            "mobilenet_v3_small",
            f"{_PACKAGE}.applications",
            "few MACs, for a CPU: the Edge TPU has no hard-swish",
            (Size((96, 96, 3), 944_890, 10_463_296), Size((224, 224, 3), 944_890, 54_902_336)),
            min_side=32,
            pretrained=_SIGNED,
        ),
        Architecture(
            "mobilenet_v3_small_minimalistic",
            f"{_PACKAGE}.applications",
            "v3 without hard-swish and squeeze-and-excite: int8 and the Edge TPU",
            (Size((96, 96, 3), 446_770, 9_313_344), Size((224, 224, 3), 446_770, 50_680_384)),
            min_side=32,
            pretrained=_SIGNED,
        ),
        Architecture(
            "mobilenet_v3_large",
            f"{_PACKAGE}.applications",
            "for a CPU: the Edge TPU has no hard-swish",
            (Size((96, 96, 3), 3_005_962, 40_560_960), Size((224, 224, 3), 3_005_962, 214_090_560)),
            min_side=32,
            pretrained=_SIGNED,
        ),
        Architecture(
            "mobilenet_v3_large_minimalistic",
            f"{_PACKAGE}.applications",
            "v3 without hard-swish and squeeze-and-excite: int8 and the Edge TPU",
            (Size((96, 96, 3), 1_447_218, 37_961_664), Size((224, 224, 3), 1_447_218, 206_637_504)),
            min_side=32,
            pretrained=_SIGNED,
        ),
        Architecture(
            "efficientnet_b0",
            f"{_PACKAGE}.applications",
            "the deepest here; a teacher",
            (Size((96, 96, 3), 4_062_374, 71_153_632), Size((224, 224, 3), 4_062_374, 384_547_552)),
            min_side=32,
            pretrained=_IMAGENET,
        ),
        Architecture(
            "squeezenet",
            f"{_PACKAGE}.squeezenet",
            "v1.1: few weights, plain convolutions; trained from scratch",
            (Size((96, 96, 3), 727_626, 42_682_048), Size((224, 224, 3), 727_626, 262_629_056)),
            min_side=31,
        ),
        Architecture(
            "features",
            f"{_PACKAGE}.recurrent",
            "rows of numbers over time (csv:); counted for an LSTM of 32 units",
            (Size((16, 2), 4_818, 65_856),),
        ),
    )
}
