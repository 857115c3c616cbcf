"""Checks before a build reads its data: a mistake must not show after minutes of work."""

from __future__ import annotations

from pathlib import Path

from edge_converter.models import check_model
from edge_converter.recipe.loading import Recipe
from edge_converter.steps.distill import check_teacher
from edge_converter.steps.train import phases
from edge_converter.weights import check_weights
from edge_hardware import load_board
from edge_sdk.energy.estimate import Board
from edge_sdk.errors import FileError
from edge_sdk.files import is_folder


def preflight(recipe: Recipe, bundle: Path) -> Board | None:
    """Check all of a recipe that can be checked without its data and without TensorFlow, and where
    the bundle is to go. Returns the board of [target].

    Raises ConfigError, FileError, ModelError.
    """
    check_model(recipe)
    check_weights(recipe)
    phases(recipe)
    if "distill" in recipe.steps:
        check_teacher(recipe)
    board = load_board(recipe.target.board) if recipe.target.board else None
    check_bundle_path(bundle)
    return board


def check_bundle_path(bundle: Path) -> None:
    """Raises FileError where `bundle` is a folder or not called .edge: a slip of the finger must
    not put a bundle in the place of a recipe or a model.
    """
    if is_folder(bundle):
        raise FileError(f"{bundle} is a folder", fix=f"name a file: {bundle / 'NAME.edge'}")
    if bundle.suffix != ".edge":
        raise FileError(
            f"{bundle} is not the name of a bundle",
            fix=f"write --out {_as_edge(bundle)}",
        )


def _as_edge(path: Path) -> Path:
    """The path with .edge in place of its suffix, or added: "doors-1.0.0" has no suffix."""
    return path.with_suffix(".edge") if path.suffix[1:].isalpha() else Path(f"{path}.edge")
