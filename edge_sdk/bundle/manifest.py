"""The manifest of a bundle: manifest.json as frozen dataclasses, checked as a whole."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Literal

from edge_sdk.configuration import as_dict, limits, parse
from edge_sdk.errors import BundleError, ConfigError
from edge_sdk.model.interface import (
    PLAIN,
    InputEntry,
    ModelInterface,
    OutputEntry,
    SequenceEntry,
    TaskName,
)
from edge_sdk.model.postprocess import Postprocess
from edge_sdk.tasks import task_of

SCHEMA = "edge-sdk/manifest/1"
MIN_SAMPLES = 10
"""Golden samples of a bundle."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_VERSION = re.compile(r"[0-9]+(\.[0-9]+){0,3}([.+-][A-Za-z0-9.+-]{1,32})?\Z")


@dataclass(frozen=True)
class ModelEntry:
    """One model of the bundle. precision is that of weights and activations, whatever the I/O."""

    file: str
    precision: str
    macs: int = field(default=0, metadata=limits(ge=0))
    min_runtime: int | None = None
    compiler: str | None = None
    mapped_ops: int | None = None
    ops: int | None = None


@dataclass(frozen=True)
class LabelsEntry:
    """The labels' file and how many there are."""

    file: str
    count: int = field(metadata=limits(ge=1))


@dataclass(frozen=True)
class GoldenEntry:
    """The golden samples: their file, their origin (the JSON key "from") and the engine that
    answered them.

    samples: fewer than 10 prove too little (MIN_SAMPLES).
    """

    file: str
    samples: int = field(metadata=limits(ge=MIN_SAMPLES))
    origin: Literal["test", "synthetic", "data"]
    engine: str
    version: str
    resolver: str
    delegate: str
    steps: int = field(metadata=limits(ge=1))


@dataclass(frozen=True)
class Budget:
    """Limits; null: none. accuracy_loss: a share; bytes: of model.tflite; mapped: share of MACs."""

    accuracy_loss: float | None = None
    bytes: int | None = field(default=None, metadata=limits(ge=1))
    mapped: float | None = field(default=None, metadata=limits(ge=0, le=1))
    latency_ms: float | None = field(default=None, metadata=limits(gt=0))


@dataclass(frozen=True)
class MemberEntry:
    """Size and SHA-256 (hex) of a file in the bundle."""

    bytes: int = field(metadata=limits(ge=0))
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """manifest.json. `members` lists every other file of the bundle.

    inputs: of a model with several, in its order; the first is `input`. signature: the one of the
    model's that is meant; None where it has one at most.
    """

    name: str
    version: str
    task: TaskName
    models: dict[str, ModelEntry]
    input: InputEntry
    outputs: tuple[OutputEntry, ...]
    labels: LabelsEntry
    golden: GoldenEntry
    postprocess: Postprocess = field(default_factory=Postprocess)
    budget: Budget = Budget()
    members: dict[str, MemberEntry] = field(default_factory=dict)
    sequence: SequenceEntry | None = None
    inputs: tuple[InputEntry, ...] = ()
    signature: str | None = None

    @property
    def plain(self) -> ModelEntry:
        """The model that needs no accelerator; every bundle has it."""
        return self.models[PLAIN]

    @property
    def interface(self) -> ModelInterface:
        """The part of it that a recognizer needs."""
        inputs = self.inputs or (self.input,)
        return ModelInterface(
            self.name, self.task, inputs, self.outputs, self.postprocess, self.sequence
        )

    def to_json(self) -> bytes:
        """The file's bytes: in the order of docs/contracts.md, the same for the same manifest."""
        data = {"schema": SCHEMA, **as_dict(self)}
        data["golden"]["from"] = data["golden"].pop("origin")
        for key in ("sequence", "inputs", "signature"):
            if not data[key]:
                del data[key]
        keys = task_of(self).keys
        data["postprocess"] = {k: v for k, v in data["postprocess"].items() if k in keys}
        for entry in data["models"].values():
            for key in ("min_runtime", "compiler", "mapped_ops", "ops"):
                if entry[key] is None:
                    del entry[key]
        return json.dumps(data, indent=1, ensure_ascii=False).encode() + b"\n"


def parse_manifest(data: bytes, *, where: str = "manifest.json") -> Manifest:
    """Read and check a manifest. Raises BundleError."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{where} is not JSON: {error}", fix="build the bundle again") from error
    if not isinstance(document, dict):
        raise BundleError(f"{where} is not a JSON object", fix="build the bundle again")
    _check_schema(document.pop("schema", None), where)
    try:
        manifest = parse(Manifest, _with_origin(document), where=where)
    except ConfigError as error:
        raise BundleError(str(error), fix=f"build the bundle again ({error.fix})") from error
    try:
        check_name(manifest.name, manifest.version, where)
    except ConfigError as error:
        raise BundleError(str(error), fix=error.fix) from error
    _check_contents(manifest, where)
    return manifest


def _check_contents(manifest: Manifest, where: str) -> None:
    """Raises BundleError for models, tensors, labels and settings that do not belong together."""
    if PLAIN not in manifest.models:
        raise BundleError(f'{where}: models has no "{PLAIN}"', fix="build the bundle again")
    if not manifest.outputs:
        raise BundleError(f"{where}: outputs is empty", fix="build the bundle again")
    if manifest.inputs and manifest.inputs[0] != manifest.input:
        raise BundleError(
            f"{where}: input is not the first of inputs", fix="build the bundle again"
        )
    if manifest.signature == "":
        raise BundleError(f"{where}: signature is empty", fix="name it, or leave it out")
    task_of(manifest).check(manifest.interface, manifest.labels.count, where)


def check_name(name: str, version: str, where: str) -> None:
    """Names and versions make file names. Raises ConfigError for one that could not."""
    if not _NAME.match(name):
        raise ConfigError(
            f"{where}: name is {name!r}",
            fix="use 1 to 64 letters, digits, dots, dashes or underscores, not a dot first",
        )
    if not _VERSION.match(version):
        raise ConfigError(f"{where}: version is {version!r}", fix='write it like "1.0.0"')


def _check_schema(schema: Any, where: str) -> None:
    if schema == SCHEMA:
        return
    if not isinstance(schema, str):
        raise BundleError(f"{where} has no schema", fix="name a bundle made by edge-sdk")
    stem, _, number = schema.rpartition("/")
    if stem + "/" == SCHEMA[:-1] and number.isdigit():
        raise BundleError(
            f"{where} has schema {schema!r}, this version reads {SCHEMA!r}",
            fix="upgrade: pip install --upgrade edge-sdk-core",
        )
    raise BundleError(
        f"{where} has schema {schema!r}, not {SCHEMA!r}", fix="name a bundle made by edge-sdk"
    )


def _with_origin(document: dict[str, Any]) -> dict[str, Any]:
    golden = document.get("golden")
    if isinstance(golden, dict) and "from" in golden and "origin" not in golden:
        renamed = {("origin" if k == "from" else k): v for k, v in golden.items()}
        return {**document, "golden": renamed}
    return document
