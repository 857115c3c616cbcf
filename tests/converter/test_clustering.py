"""Weights that share a few values, and what that does to a bundle."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge_converter import Recipe, build
from edge_converter.compression.clustering import codebooks, joined_gradients, kmeans, nearest
from edge_converter.datasets import Dataset
from edge_converter.models import build_model, load_model
from edge_converter.steps.cluster import cluster
from edge_converter.training.checkpoints import Checkpoints
from edge_sdk import Bundle
from edge_sdk.errors import ConfigError
from edge_sdk.events import Listener, ignore
from listeners import Lines, of_progress

VALUES = arrays(np.float32, st.integers(2, 60), elements=st.floats(-8, 8, width=32))


def squared_error(values: Any, centers: Any) -> float:
    return float(np.sum((values.astype(np.float64) - centers[nearest(values, centers)]) ** 2))


@given(VALUES, st.integers(2, 16))
def test_each_value_goes_to_the_nearest_center(values: Any, clusters: int) -> None:
    centers = kmeans(values, clusters)
    assert centers.shape == (clusters,) and np.all(np.diff(centers) >= 0)
    given_up = np.abs(values - centers[nearest(values, centers)])
    best = np.min(np.abs(values[:, None] - centers[None, :]), axis=1)
    np.testing.assert_allclose(given_up, best, atol=1e-5)


@given(VALUES, st.integers(2, 16))
def test_kmeans_is_no_worse_than_where_it_starts(values: Any, clusters: int) -> None:
    start = np.linspace(values.min(), values.max(), clusters, dtype=np.float32)
    assert squared_error(values, kmeans(values, clusters)) <= squared_error(values, start) + 1e-4


def test_two_heaps_are_found() -> None:
    values = np.concatenate([np.full(90, -1.0), np.full(9, 2.0), [2.3]]).astype(np.float32)
    np.testing.assert_allclose(kmeans(values, 2), [-1.0, 2.03], atol=1e-6)


@pytest.fixture(scope="module")
def model() -> Any:
    import keras

    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(2, 2, name="tiny"),
            keras.layers.Conv2D(6, 3, name="conv"),
            keras.layers.Flatten(),
            keras.layers.Dense(5, name="dense"),
        ]
    )


def test_members_of_a_cluster_move_together(model: Any) -> None:
    books, small = codebooks(model, 8)
    kernels = [model.get_layer(name).kernel for name in ("conv", "dense")]
    assert [book.kernel for book in books] == kernels
    assert small == [model.get_layer("tiny").kernel.path]
    random = np.random.default_rng(0)
    for book in books:
        book.share()
        shared = book.kernel.numpy()
        assert len(np.unique(shared)) <= 8
        moved = shared + random.normal(0, 0.1, shared.shape).astype(np.float32)
        book.kernel.assign(moved)
        book.share()
        for number in np.unique(book.members):
            own = book.kernel.numpy()[book.members == number]
            np.testing.assert_allclose(own, moved[book.members == number].mean(), atol=1e-6)


def test_zeros_of_a_pruned_kernel_stay(model: Any) -> None:
    kernel = model.get_layer("dense").kernel
    values = kernel.numpy()
    values[::3] = 0
    kernel.assign(values)
    book = next(book for book in codebooks(model, 6)[0] if book.kernel is kernel)
    kernel.assign(values + 0.01)
    book.share()
    assert np.all(kernel.numpy()[::3] == 0)
    assert len(np.unique(kernel.numpy())) <= 6


def test_the_gradient_of_a_shared_value_is_the_sum_of_its_weights(model: Any) -> None:
    """And None, of a kernel that the loss does not depend on, stays None."""
    books, _ = codebooks(model, 8)
    random = np.random.default_rng(0)
    weights = model.trainable_variables
    given = [random.normal(size=weight.shape).astype(np.float32) for weight in weights]
    given[-2] = None
    places = {id(weight): place for place, weight in enumerate(weights)}
    found = joined_gradients(books, weights, given)
    for book in books[:-1]:
        mine, summed = given[places[id(book.kernel)]], found[places[id(book.kernel)]].numpy()
        for number in np.unique(book.members):
            inside = book.members == number
            np.testing.assert_allclose(summed[inside], mine[inside].sum(), atol=1e-4)
    others = {places[id(weight)] for weight in weights} - {places[id(b.kernel)] for b in books}
    assert all(found[place] is given[place] for place in [*others, places[id(books[-1].kernel)]])


class Killed(Exception):
    pass


@pytest.mark.slow
def test_a_step_that_was_killed_gives_the_same_weights(
    stripes_file: Path, stripes: Dataset, tmp_path: Path
) -> None:
    """Of a network with batch norm, which is made ready once more before it goes on."""
    settings = {"steps": ["train", "cluster"], "cluster.epochs": 2, "model.name": "edge_net"}
    small = {"model.options.width": 0.25, "model.options.depth": 0.25}
    recipe = Recipe.load(stripes_file, settings | small)
    source = build_model(recipe, (12, 12, 1), 3)
    source.save(tmp_path / "source.keras")

    def run(name: str, listen: Listener = ignore) -> Any:
        kept = Checkpoints(tmp_path / name, "key")
        target = tmp_path / f"{name}.keras"
        given = {"source": tmp_path / "source.keras", "listen": listen}
        curves = cluster(recipe, stripes, target, kept, **given).curves
        return curves, load_model(target, "edge_net", tmp_path).get_weights()

    def die(line: str) -> None:
        if "epoch 2 of 2" in line:
            raise Killed

    with pytest.raises(Killed):
        run("killed", of_progress(die))
    lines = Lines("progress")
    (curves, ours), (wanted, theirs) = run("killed", lines), run("whole")
    assert lines[0].startswith("cluster: epoch 2 of 2") and curves == wanted
    assert all(map(np.array_equal, ours, theirs))


def test_more_clusters_than_weights(model: Any) -> None:
    most = max(int(np.prod(w.shape)) for w in model.weights if w.name == "kernel")
    with pytest.raises(ConfigError, match=f"is {most}, and the largest kernel .* has {most}") as e:
        codebooks(model, most)
    assert "lower cluster.clusters" in e.value.fix


@pytest.mark.slow
def test_a_clustered_build(project: Callable[..., Path], tmp_path: Path) -> None:
    recipe = Recipe.load(project(tmp_path), {"steps": ["train", "cluster"], "cluster.clusters": 4})
    said = Lines("note", "warning")
    report = build(recipe, listen=said)
    trained, clustered = report.document["steps"]
    assert "of at most 4 values each" in clustered["note"]
    assert "the model not faster" in clustered["note"] and f"cluster: {clustered['note']}" in said
    assert (clustered["bytes"], clustered["macs"]) == (trained["bytes"], trained["macs"])
    assert report.document["float"]["accuracy"] == trained["accuracy"]
    kernels = [
        weight.numpy()
        for weight in load_model(report.folder / "model.keras", "", tmp_path).weights
        if weight.name == "kernel"
    ]
    assert all(len(np.unique(kernel)) <= 4 for kernel in kernels if kernel.size > 4)
    with zipfile.ZipFile(report.bundle) as archive:
        entry = archive.getinfo("model.tflite")
    converted = report.document["converted"]
    assert entry.compress_type == zipfile.ZIP_LZMA
    assert (entry.file_size, entry.compress_size) == (converted["bytes"], converted["bundle_bytes"])
    assert converted["bundle_bytes"] < 0.8 * converted["bytes"]
    with Bundle.open(report.bundle) as bundle:
        assert len(bundle.model()) == converted["bytes"]
    before = report.bundle.read_bytes()
    build(recipe)
    assert report.bundle.read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"steps": ["train", "cluster"], "cluster.clusters": 1000000}, "cluster.clusters is"),
        (
            {"steps": ["train", "prune"], "prune.ratio": 0.001},
            "prune.ratio 0.001 removes no channel",
        ),
    ],
)
def test_what_cannot_be_done_is_said_before_training(
    changes: dict[str, object], told: str, project: Callable[..., Path], tmp_path: Path
) -> None:
    lines = Lines("progress")
    with pytest.raises(ConfigError, match=told):
        build(Recipe.load(project(tmp_path), changes), listen=lines)
    assert not any("epoch" in line for line in lines)
