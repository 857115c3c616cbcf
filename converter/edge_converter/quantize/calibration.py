"""Full integer quantization after training: calibrate once, then quantize as often as needed.

TensorFlow's converter does both in one call, and can neither clip a range nor leave a layer in
float. So the two halves of it are called one after the other, as its QuantizationDebugger does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_converter.quantize.layer_names import operator_layers
from edge_converter.quantize.percentile import clipped
from edge_sdk.errors import ConfigError
from edge_sdk.tflite.graph import Graph, read_graph

_ATTEMPTS = 12
"""TensorFlow's quantizer leaves the first SPLIT of an unrolled cell in float32 in up to half of its
runs on the same bytes, and in int8 in the others.
"""


@dataclass(frozen=True)
class CalibratedModel:
    """A float model with the range of each of its tensors.

    content: the bytes of the .tflite; model: the marked Keras clone that it was made from.
    """

    content: bytes
    model: Any

    @cached_property
    def graph(self) -> Graph:
        """The graph in `content`."""
        return read_graph(self.content)

    def quantized(
        self, io: str, float_layers: Sequence[str] = (), *, verify: bool = False
    ) -> bytes:
        """The model in int8, operators of `float_layers` in float between DEQUANTIZE and QUANTIZE.

        float_layers: names of Keras layers, or of operators ("SOFTMAX"). verify: a model to look
        into, with a float twin of each operator and a NumericVerify that holds one against the
        other. Raises ConfigError for a layer that no operator comes from.
        """
        import tensorflow as tf
        from tensorflow.lite.python import convert

        kind, kept = tf.dtypes.as_dtype(io), self._outputs(float_layers) or None
        for _ in range(_ATTEMPTS):
            made = convert.mlir_quantize(
                self.content,
                input_data_type=kind,
                output_data_type=kind,
                enable_numeric_verify=verify,
                denylisted_nodes=kept,
            )
            if kept or verify or "SPLIT" not in read_graph(bytes(made)).left_in_float:
                break
        # An unrolled cell reads one kernel at every step: without this it is stored each time.
        return bytes(convert.deduplicate_readonly_buffers(made))

    def _outputs(self, float_layers: Sequence[str]) -> list[str]:
        """Names of the tensors that the operators of these layers give."""
        if not float_layers:
            return []
        layers = operator_layers(self.graph, self.model)
        known = {name for names in layers for name in names}
        kinds = {operator.name for operator in self.graph.operators}
        for name in float_layers:
            if name not in known | kinds:
                raise ConfigError(
                    f"quantize.float_layers: no operator of the model comes from {name!r}",
                    fix=f"use layers ({', '.join(sorted(known))}) or kinds of operators "
                    f"({', '.join(sorted(kinds))})",
                )
        wanted = set(float_layers)
        return [
            self.graph.tensors[number].name
            for operator, names in zip(self.graph.operators, layers, strict=True)
            if wanted & {operator.name, *names}
            for number in operator.outputs
        ]


def calibrate(
    converter: Any, model: Any, samples: NDArray[np.float32], calibration: str
) -> CalibratedModel:
    """Run `samples` (n, *input) through the float model and keep the range of each tensor.

    converter: a tf.lite.TFLiteConverter of `model`. calibration: "minmax" or "percentile".
    """
    import tensorflow as tf

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative(samples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter._experimental_calibrate_only = True
    content = converter.convert()
    if calibration == "percentile":
        content = clipped(content, samples)
    return CalibratedModel(content, model)


def representative(samples: NDArray[np.float32]) -> Any:
    """`samples` one by one, as TensorFlow's converter asks for them."""

    def feed() -> Iterator[list[NDArray[np.float32]]]:
        for index in range(len(samples)):
            yield [np.asarray(samples[index : index + 1])]

    return feed
