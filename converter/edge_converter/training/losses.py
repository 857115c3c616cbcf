"""Losses: of answers against labels, and against a teacher's answers and features.

A `Hard` loss compares scores with labels; a `Loss` is what training minimises, and may look at all
that the network and its teacher say about a batch. Both return one value a sample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Hard = Callable[[Any, Any], Any]
"""(one_hot, scores) -> losses: float32 [batch, classes] twice -> [batch]."""
Loss = Callable[[Any, Any, Sequence[Any]], Any]
"""(fed, one_hot, outputs) -> losses; outputs: all of the network's, the scores first."""
Teacher = Callable[[Any], Sequence[Any]]
"""fed -> outputs of the teacher: the scores first, then the features that are compared."""

FOCAL_GAMMA = 2.0
"""The exponent that worked best in Lin and others, "Focal Loss for Dense Object Detection" (ICCV
2017, arXiv:1708.02002).
"""
MIN_PROBABILITY = 1e-20
"""Below it a probability counts as this much: its logarithm stays a number, and so does the
gradient of it in float32.
"""


def hard_loss(kind: Literal["cross-entropy", "focal"]) -> Hard:
    """Categorical cross-entropy, -log p of the right class, or focal loss, (1 - p)^2 times that:
    samples that are answered well already count for little. One for all classes: weights of
    classes are `weighted`'s.
    """
    import keras

    loss: Hard = keras.losses.CategoricalCrossentropy(reduction="none")
    if kind == "focal":
        loss = keras.losses.CategoricalFocalCrossentropy(
            alpha=1.0, gamma=FOCAL_GAMMA, reduction="none"
        )
    return loss


def weighted(loss: Hard, weights: NDArray[np.floating]) -> Hard:
    """`loss` times the weight of the sample's class. weights: [classes]."""
    from keras import ops

    by_class = np.asarray(weights, np.float32)
    return lambda one_hot, scores: loss(one_hot, scores) * ops.matmul(one_hot, by_class)


def supervised(hard: Hard) -> Loss:
    """Labels alone."""
    return lambda _fed, one_hot, outputs: hard(one_hot, outputs[0])


def distilled(hard: Hard, teacher: Teacher, *, temperature: float, alpha: float) -> Loss:
    """alpha T^2 KL(teacher || student) + (1 - alpha) hard + the mean squared distance of each pair
    of features.

    Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network" (2015, arXiv:1503.02531):
    both answers are softened by the temperature T; T^2 keeps the gradient of the soft part as large
    as that of the hard one. Features: Romero and others, "FitNets" (ICLR 2015, arXiv:1412.6550).
    """
    from keras import ops

    def loss(fed: Any, one_hot: Any, outputs: Sequence[Any]) -> Any:
        answers = teacher(fed)
        soft = alpha * temperature**2 * divergence(answers[0], outputs[0], temperature)
        losses = soft + (1 - alpha) * hard(one_hot, outputs[0])
        for theirs, ours in zip(answers[1:], outputs[1:], strict=True):
            axes = tuple(range(1, len(ours.shape)))
            losses += ops.mean(ops.square(ours - theirs), axis=axes)
        return losses

    return loss


def divergence(wanted: Any, scores: Any, temperature: float) -> Any:
    """KL(wanted || scores) of probabilities softened by the temperature: [batch, classes] twice ->
    [batch].
    """
    from keras import ops

    wanted, scores = _soft_log(wanted, temperature), _soft_log(scores, temperature)
    return ops.sum(ops.exp(wanted) * (wanted - scores), axis=-1)


def _soft_log(probabilities: Any, temperature: float) -> Any:
    """log softmax(logits / T). The models end in a softmax, so their logits are not at hand; but
    log p is the logits less one number a sample, and a softmax does not change by that.
    """
    from keras import ops

    logits = ops.log(ops.maximum(probabilities, MIN_PROBABILITY))
    return ops.log_softmax(logits / temperature, axis=-1)
