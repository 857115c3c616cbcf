"""Probabilities or logits: how the graph of a classifier ends."""

from __future__ import annotations

from edge_sdk.tflite.graph import Graph

_PROBABILITIES = ("SOFTMAX", "LOGISTIC")
_PASSED_THROUGH = ("QUANTIZE", "DEQUANTIZE", "RESHAPE", "SQUEEZE")


def ends_in_probabilities(graph: Graph) -> bool:
    """True where the last operator that computes anything is a softmax or a sigmoid; otherwise the
    scores are logits.
    """
    for operator in reversed(graph.operators):
        if operator.name not in _PASSED_THROUGH:
            return operator.name in _PROBABILITIES
    return False
