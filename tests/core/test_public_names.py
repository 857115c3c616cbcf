"""`edge_sdk` itself: exactly the names it promises, and nothing heavy until one is used."""

from __future__ import annotations

import subprocess
import sys
import typing
from pathlib import Path

import pytest

import edge_sdk


def test_all_is_exact() -> None:
    source = Path(edge_sdk.__file__).read_text()
    imported = {
        name.strip()
        for line in source.splitlines()
        if line.startswith("    from edge_sdk.")
        for name in line.partition(" import ")[2].split(",")
    }
    assert sorted(imported) == sorted(edge_sdk.__all__) == dir(edge_sdk)


@pytest.mark.parametrize("name", edge_sdk.__all__)
def test_each_name_is_documented_and_at_home(name: str) -> None:
    value = getattr(edge_sdk, name)
    assert value.__name__ == name
    assert value.__module__.startswith("edge_sdk.")
    assert value.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'bundel'"):
        _ = edge_sdk.bundel


def test_the_hints_of_public_functions_resolve() -> None:
    assert typing.get_type_hints(edge_sdk.read_image)["return"] is edge_sdk.Frame


def test_importing_the_package_imports_neither_numpy_nor_opencv() -> None:
    code = "import sys, edge_sdk; print({'numpy', 'cv2', 'click'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
