"""[quantize] calibration = "percentile": the ranges of activations without their rarest values."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_converter.quantize.tf_interpreter import interpreter
from edge_sdk.tflite.graph import read_graph

PERCENTILE = 99.99
"""Percent of the values of an activation that lie below its highest one after clipping, and as many
above its lowest.

Source: Wu and others, "Integer Quantization for Deep Learning Inference: Principles and Empirical
Evaluation", arXiv:2004.09602, section 4: of 99.9, 99.99, 99.999 and 99.9999 no one is best for all
networks; 99.9 clips too much for some of them.
"""

Values = NDArray[np.float32]


def clipped(calibrated: bytes, samples: Values) -> bytes:
    """The calibrated float model with each operator's output range narrowed to the percentiles over
    `samples` (n, *input). Inputs keep theirs: their range is pinned.
    """
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(calibrated))
    tensors = model.subgraphs[0].tensors
    for number, (low, high) in _ranges(calibrated, samples).items():
        found = tensors[number].quantization
        if found is not None and found.min is not None and len(found.min) == 1:
            found.min = [max(float(found.min[0]), low)]
            found.max = [min(float(found.max[0]), high)]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _ranges(model: bytes, samples: Values) -> dict[int, tuple[float, float]]:
    """{tensor: (low, high)} of what operators give, over all samples."""
    graph, runner = read_graph(model), interpreter(model)
    given = [t for o in graph.operators for t in o.outputs if graph.tensors[t].dtype == "float32"]
    lows: dict[int, Values] = {}
    highs: dict[int, Values] = {}
    for sample in samples:
        runner.set_tensor(graph.inputs[0], sample[None])
        runner.invoke()
        for tensor in given:
            values = runner.get_tensor(tensor).reshape(-1)
            count = 1 + int(len(samples) * values.size * (100 - PERCENTILE) / 100)
            highs[tensor] = _largest(highs.get(tensor, values[:0]), values, count)
            lows[tensor] = _largest(lows.get(tensor, values[:0]), -values, count)
    return {tensor: (-float(lows[tensor].min()), float(highs[tensor].min())) for tensor in given}


def _largest(kept: Values, values: Values, count: int) -> Values:
    """The `count` largest of both. Few enough to keep, where all values would not be."""
    if len(kept) == count:
        values = values[values > kept.min()]
    both = np.concatenate([kept, values])
    return np.partition(both, -count)[-count:] if len(both) > count else both
