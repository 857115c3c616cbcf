"""Checkpoints after each epoch, from which a build that was killed goes on."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk.errors import FileError
from edge_sdk.files import write_atomic

Arrays = list[NDArray[Any]]
_ARRAYS = ("variables", "optimizer", "best")
_DIGEST = hashlib.sha256().digest_size


@dataclass
class State:
    """The state of a phase of training after `epochs` epochs.

    curves: one value an epoch for each name. best: the variables at the least val_loss so far;
    waited: epochs since then. variables, optimizer: of the network (random states included) and of
    its optimizer.
    """

    epochs: int = 0
    curves: dict[str, list[float]] = field(default_factory=dict)
    best_loss: float = float("inf")
    waited: int = 0
    variables: Arrays = field(default_factory=list)
    optimizer: Arrays = field(default_factory=list)
    best: Arrays = field(default_factory=list)


@dataclass(frozen=True)
class Checkpoints:
    """One file a phase in `folder`: a SHA-256, and an .npz file that it is of.

    key: a hash of all that the training depends on; a file of another key is as good as none.
    """

    folder: Path
    key: str

    def load(self, phase: str) -> State | None:
        """The state that `save` left; None where there is none of this key, whole."""
        try:
            data = self._path(phase).read_bytes()
        except OSError:
            return None
        digest, content = data[:_DIGEST], data[_DIGEST:]
        if hashlib.sha256(content).digest() != digest:
            return None
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            said = json.loads(str(file["state"]))
            count = said.pop("count")
            if said.pop("key") != self.key:
                return None
            for name in _ARRAYS:
                said[name] = [file[f"{name}{i}"] for i in range(count[name])]
        return State(**said)

    def save(self, phase: str, state: State) -> None:
        """Keep `state`: whole, or the one before stays. Raises FileError."""
        arrays = {name: getattr(state, name) for name in _ARRAYS}
        plain = {f.name: getattr(state, f.name) for f in fields(state) if f.name not in _ARRAYS}
        plain |= {"key": self.key, "count": {name: len(found) for name, found in arrays.items()}}
        numbered = {f"{n}{i}": a for n, found in arrays.items() for i, a in enumerate(found)}
        out = io.BytesIO()
        np.savez(out, state=np.array(json.dumps(plain)), **numbered)
        content = out.getvalue()
        try:
            write_atomic(self._path(phase), hashlib.sha256(content).digest() + content)
        except FileError as error:
            raise FileError(
                f"cannot write in {self.folder}: {getattr(error.__cause__, 'strerror', error)}",
                fix="free some space, or build into another folder with --out",
            ) from error

    def _path(self, phase: str) -> Path:
        return self.folder / f"{phase}.checkpoint"
