"""`convert`: a model of the user's own into a bundle, with what is known about it.

A .tflite file is packed as it is, or quantized; .keras, .h5, SavedModel and ONNX become .tflite on
the road that `build` takes (quantize/): in a child process, and compared afterwards.
"""

from __future__ import annotations

from edge_converter.conversion.model_to_bundle import convert
from edge_converter.conversion.options import ConvertOptions, parse_options
from edge_converter.conversion.record import describe

__all__ = ["ConvertOptions", "convert", "describe", "parse_options"]
