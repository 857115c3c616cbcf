"""TFLite_Detection_PostProcess: the custom operator that makes detections of a network's answers.

Source: LiteRT, kernels/detection_postprocess.cc. Inputs: box encodings, class predictions, anchors;
outputs: boxes, classes, scores, count.
"""

from __future__ import annotations

from dataclasses import dataclass

from flatbuffers import flexbuffers

from edge_sdk.errors import ModelError
from edge_sdk.tflite.graph import Graph, Operator

NAME = "CUSTOM(TFLite_Detection_PostProcess)"


@dataclass(frozen=True)
class DetectionOperator:
    """outputs: tensor numbers of boxes, classes, scores and count. classes: how many it tells
    apart, without the background.
    """

    outputs: tuple[int, ...]
    classes: int


def detection_operator(graph: Graph) -> DetectionOperator | None:
    """The one that a model ends in, None where there is none. Raises ModelError for one that does
    not say what it does.
    """
    operator = next((o for o in graph.operators if o.name == NAME), None)
    if operator is None:
        return None
    classes = _classes(operator)
    if len(operator.outputs) != 4 or not 1 <= classes <= 10_000:
        raise ModelError(
            f"its TFLite_Detection_PostProcess has {len(operator.outputs)} outputs and {classes} "
            "classes",
            fix="export the model again",
        )
    return DetectionOperator(operator.outputs, classes)


def _classes(operator: Operator) -> int:
    try:
        return int(flexbuffers.Loads(operator.custom)["num_classes"])
    except Exception as error:  # whatever a damaged buffer raises
        raise ModelError(
            "the options of its TFLite_Detection_PostProcess cannot be read",
            fix="export the model again",
        ) from error
