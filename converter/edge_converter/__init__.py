"""Edge SDK on the host: trains, converts, proves and packs image-recognition models.

Public names load on first use; importing the package does not import TensorFlow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_converter.builder.build import build
    from edge_converter.builder.build_report import BuildReport
    from edge_converter.conversion import ConvertOptions, convert
    from edge_converter.recipe.loading import Recipe

__all__ = ["BuildReport", "ConvertOptions", "Recipe", "build", "convert"]

_HOMES = {
    "BuildReport": "builder.build_report",
    "ConvertOptions": "conversion",
    "Recipe": "recipe.loading",
    "build": "builder.build",
    "convert": "conversion",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
