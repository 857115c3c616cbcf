"""The error tree: what each error also is, and that every one carries its way out."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from edge_sdk import errors
from edge_sdk.errors import EdgeError, GateFailed

STANDARD = {
    "ConfigError": ValueError,
    "FileError": OSError,
    "DataError": ValueError,
    "ImageError": ValueError,
    "ModelError": ValueError,
    "BundleError": ValueError,
    "EngineError": RuntimeError,
    "CameraError": OSError,
    "TrainingError": RuntimeError,
    "MissingPackage": ImportError,
}
TREE = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_every_error_says_what_and_how_to_mend_it(kind: type[EdgeError]) -> None:
    more = {"document": {}} if kind is GateFailed else {}
    error = kind("what is wrong", fix="the way out", **more)
    assert isinstance(error, EdgeError)
    assert isinstance(error, STANDARD.get(kind.__name__, Exception))
    assert (str(error), error.fix) == ("what is wrong", "the way out")
    assert error.exit_status == (3 if kind is GateFailed else 1)


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_the_tree_in_the_documentation_names_every_error(kind: type[EdgeError]) -> None:
    assert kind.__doc__
    assert kind.__name__ in (errors.__doc__ or "")


def test_a_gate_keeps_its_document() -> None:
    assert GateFailed("m", fix="f", document={"n": 1}).document == {"n": 1}


def test_errors_imports_nothing() -> None:
    code = (
        "import sys, importlib.util as u; before = set(sys.modules);"
        "s = u.spec_from_file_location('errors', sys.argv[1]);"
        "s.loader.exec_module(u.module_from_spec(s)); print(set(sys.modules) - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, errors.__file__], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
