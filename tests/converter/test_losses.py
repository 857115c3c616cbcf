"""Losses against their formulas in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge_converter.tf.setup import load_tensorflow
from edge_converter.training.losses import distilled, divergence, hard_loss, supervised, weighted

pytestmark = pytest.mark.slow

CLASSES = 4
LABELS = np.array([0, 3, 1, 1, 2, 0])
ONE_HOT = np.eye(CLASSES, dtype=np.float32)[LABELS]


@pytest.fixture(scope="module", autouse=True)
def _tensorflow() -> None:
    load_tensorflow()


def softmax(logits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def logits(seed: int, scale: float = 2.0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(0, scale, (len(LABELS), CLASSES))


def scores(seed: int, scale: float = 2.0) -> Any:
    """What a network answers: float32 probabilities."""
    import tensorflow as tf

    return tf.constant(softmax(logits(seed, scale)), tf.float32)


def right(found: Any) -> np.ndarray[Any, Any]:
    """The probability of the right class."""
    return np.asarray(found)[np.arange(len(LABELS)), LABELS].astype(np.float64)


def test_cross_entropy() -> None:
    found = hard_loss("cross-entropy")(ONE_HOT, scores(1))
    np.testing.assert_allclose(found, -np.log(right(scores(1))), rtol=1e-5)


def test_focal_loss_counts_little_what_is_answered_well() -> None:
    """(1 - p)^2 times the cross-entropy, with no factor for all classes."""
    p = right(scores(1))
    found = np.asarray(hard_loss("focal")(ONE_HOT, scores(1)))
    np.testing.assert_allclose(found, -((1 - p) ** 2) * np.log(p), rtol=1e-5)
    share = found / -np.log(p)
    assert np.array_equal(np.argsort(share), np.argsort(-p))


@pytest.mark.parametrize("kind", ["cross-entropy", "focal"])
def test_class_weights_multiply_the_loss_of_their_class(kind: Any) -> None:
    weights = np.array([0.5, 2.0, 1.0, 10.0])
    plain = np.asarray(hard_loss(kind)(ONE_HOT, scores(1)))
    found = weighted(hard_loss(kind), weights)(ONE_HOT, scores(1))
    np.testing.assert_allclose(found, plain * weights[LABELS], rtol=1e-6)


def test_labels_alone_look_at_the_scores_alone() -> None:
    hard = hard_loss("cross-entropy")
    found = supervised(hard)(None, ONE_HOT, [scores(1), scores(2)])
    np.testing.assert_array_equal(found, hard(ONE_HOT, scores(1)))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_divergence_is_that_of_the_softened_logits(temperature: float) -> None:
    """From probabilities, without the logits that made them."""
    wanted, ours = (softmax(logits(seed) / temperature) for seed in (1, 2))
    found = divergence(scores(1), scores(2), temperature)
    kl = (wanted * np.log(wanted / ours)).sum(axis=1)
    np.testing.assert_allclose(found, kl, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(divergence(scores(1), scores(1), temperature), 0, atol=1e-6)


def test_divergence_of_very_sure_answers_is_a_number_with_a_gradient() -> None:
    import tensorflow as tf

    sure = tf.Variable(logits(2, scale=60.0), dtype=tf.float32)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(divergence(scores(1, scale=60.0), tf.nn.softmax(sure), 4.0))
    assert np.isfinite(loss) and float(loss) > 0
    assert np.isfinite(tape.gradient(loss, sure)).all()


@pytest.mark.parametrize("alpha", [0.0, 0.7, 1.0])
def test_distillation_weighs_teacher_and_labels(alpha: float) -> None:
    """alpha T^2 KL + (1 - alpha) hard."""
    hard, temperature = hard_loss("cross-entropy"), 3.0
    fed = object()

    def teacher(seen: Any) -> list[Any]:
        assert seen is fed
        return [scores(1)]

    loss = distilled(hard, teacher, temperature=temperature, alpha=alpha)
    soft = np.asarray(divergence(scores(1), scores(2), temperature))
    wanted = alpha * 9 * soft + (1 - alpha) * np.asarray(hard(ONE_HOT, scores(2)))
    np.testing.assert_allclose(loss(fed, ONE_HOT, [scores(2)]), wanted, rtol=1e-5)


def test_the_temperature_leaves_the_size_of_the_gradient() -> None:
    """T^2: in the limit of high temperatures the gradient on the logits is the same (Hinton and
    others, section 2.1).
    """
    import tensorflow as tf

    def gradient(temperature: float) -> Any:
        ours = tf.Variable(logits(2), dtype=tf.float32)
        loss = distilled(
            hard_loss("cross-entropy"),
            lambda _: [scores(1)],
            temperature=temperature,
            alpha=1.0,
        )
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(loss(None, ONE_HOT, [tf.nn.softmax(ours)]))
        return tape.gradient(value, ours)

    # (z - v) / N with logits of mean 0, as the paper has it.
    ours, theirs = (z - z.mean(axis=1, keepdims=True) for z in (logits(2), logits(1)))
    np.testing.assert_allclose(gradient(200.0), (ours - theirs) / CLASSES, rtol=0.05, atol=0.01)


def test_features_add_their_mean_squared_distance() -> None:
    random = np.random.default_rng(3)
    maps, vectors = (random.normal(size=(2, len(LABELS), *s)) for s in ((5, 5, 3), (8,)))
    hard = hard_loss("cross-entropy")

    def loss(*features: Any) -> np.ndarray[Any, Any]:
        theirs, ours = ([a[i] for a in features] for i in (0, 1))
        made = distilled(hard, lambda _: [scores(1), *theirs], temperature=1.0, alpha=0.5)
        return np.asarray(made(None, ONE_HOT, [scores(2), *ours]))

    maps, vectors = maps.astype(np.float32), vectors.astype(np.float32)
    extra = ((maps[0] - maps[1]) ** 2).mean(axis=(1, 2, 3))
    extra += ((vectors[0] - vectors[1]) ** 2).mean(axis=1)
    np.testing.assert_allclose(loss(maps, vectors), loss() + extra, rtol=1e-5)
