"""The subject of a report, known as soon as a bundle is open; the report comes at the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from edge_sdk.bundle.manifest import Manifest
from edge_sdk.engines import EngineInfo
from edge_sdk.inference.golden import GoldenCheck

if TYPE_CHECKING:
    from edge_sdk.documents.common import BundleIdentity


class Subject(NamedTuple):
    """The object of a measurement: a bundle with its build record, the engine, the golden check."""

    bundle: BundleIdentity
    build: Mapping[str, Any]
    engine: EngineInfo
    golden: GoldenCheck
    manifest: Manifest
