"""Batch norm that begins to train goes on where it stood."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge_converter.training.batch_norm import equalize, recentre

pytestmark = pytest.mark.slow

SIDE = 16


def folded(**options: Any) -> Any:
    """A net as it comes out of a .tflite: each batch norm has averages of 0 and 1, and the scales
    that training found are in the kernels, far from what a batch would have.
    """
    import keras
    from keras import layers

    keras.utils.set_random_seed(3)
    image = x = keras.Input((SIDE, SIDE, 3))
    for number in range(4):
        x = layers.Conv2D(8, 3, padding="same", use_bias=False, kernel_initializer="he_normal")(x)
        x = layers.BatchNormalization(name=f"norm{number}", **options)(x)
        x = layers.ReLU(6.0)(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, layers.Dense(5, activation="softmax")(x))
    random = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D):
            layer.kernel.assign(layer.kernel * random.uniform(0.2, 3, 8).astype(np.float32))
        if layer.name.startswith("norm") and layer.center:
            layer.beta.assign(random.uniform(-0.5, 1.5, 8).astype(np.float32))
    return model


def batches() -> list[Any]:
    """Four of 32 samples, the last one of fewer."""
    samples = np.random.default_rng(0).random((120, SIDE, SIDE, 3), np.float32)
    return [samples[first : first + 32] for first in range(0, 120, 32)]


def test_the_answers_stay_and_training_begins_with_them() -> None:
    model, samples = folded(), np.concatenate(batches())
    before = np.asarray(model(samples, training=False))
    jump = np.abs(np.asarray(keras_copy(model)(samples, training=True)) - before).max()
    recentre(model, batches())
    after = np.asarray(model(samples, training=False))
    assert np.abs(after - before).max() < 1e-5
    still = np.abs(np.asarray(keras_copy(model)(samples, training=True)) - before).max()
    assert jump > 0.05
    assert still < 1e-4


def keras_copy(model: Any) -> Any:
    """Calls with training=True move averages: not those of the model itself."""
    import keras

    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def test_averages_are_those_of_the_data() -> None:
    import keras

    model = folded()
    recentre(model, batches())
    reader = keras.Model(model.input, model.get_layer("norm2").input)
    values = np.asarray(reader(np.concatenate(batches()), training=False)).reshape(-1, 8)
    norm = model.get_layer("norm2")
    assert np.asarray(norm.moving_mean) == pytest.approx(values.mean(0), abs=1e-4)
    assert np.asarray(norm.moving_variance) == pytest.approx(values.var(0), rel=1e-3)


@pytest.mark.parametrize("options", [{"scale": False}, {"center": False}])
def test_what_cannot_take_up_the_difference_is_left(options: dict[str, bool]) -> None:
    model = folded(**options)
    before = [weights.copy() for weights in model.get_weights()]
    recentre(model, batches())
    for was, now in zip(before, model.get_weights(), strict=True):
        assert np.array_equal(was, now)


def test_channels_get_one_size_and_the_answers_stay() -> None:
    """But one that is zero, and those whose output something beside the batch norm reads, or which
    bend it themselves.
    """
    import keras
    from keras import layers

    keras.utils.set_random_seed(3)
    given = keras.Input((SIDE, SIDE, 3))
    random = np.random.default_rng(1)
    plain = {"padding": "same", "use_bias": False}
    x = layers.Conv2D(8, 3, **plain, name="conv")(given)
    x = layers.ReLU(6.0)(layers.BatchNormalization(name="conv_bn")(x))
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, **plain, name="depthwise")(x)
    x = layers.BatchNormalization(name="depthwise_bn")(x)
    read_twice = layers.Conv2D(4, 1, **plain, name="read_twice")(x)
    x = layers.Add()([read_twice, layers.BatchNormalization()(read_twice)])
    x = layers.BatchNormalization()(layers.Conv2D(4, 1, name="biased")(x))
    bent = {"use_bias": False, "activation": "tanh", "name": "bent"}
    x = layers.BatchNormalization()(layers.Conv2D(4, 1, **bent)(x))
    model = keras.Model(given, layers.GlobalAveragePooling2D()(x))
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            spread = random.uniform(0.01, 3, layer.kernel.shape[-1]).astype(np.float32)
            layer.kernel.assign(layer.kernel * spread)
        if layer.name.endswith("_bn"):
            size = layer.gamma.shape
            layer.set_weights([random.uniform(0.5, 2, size) for _ in range(4)])
    first = model.get_layer("conv").kernel
    first.assign(first * (np.arange(8) != 5))
    kept = ("read_twice", "biased", "bent")
    kernels = {name: model.get_layer(name).kernel.numpy() for name in kept}
    samples = np.concatenate(batches())
    before = np.asarray(model(samples, training=False))
    equalize(model)
    np.testing.assert_allclose(np.asarray(model(samples, training=False)), before, atol=2e-5)
    sizes = np.sqrt(np.square(first.numpy()).mean(axis=(0, 1, 2)))
    assert sizes == pytest.approx(np.sqrt(2 / 27) * (np.arange(8) != 5))
    values = model.get_layer("depthwise").kernel.numpy()
    assert np.sqrt(np.square(values).mean(axis=(0, 1))) == pytest.approx(np.sqrt(2 / 9))
    for name, kernel in kernels.items():
        assert np.array_equal(model.get_layer(name).kernel.numpy(), kernel)
