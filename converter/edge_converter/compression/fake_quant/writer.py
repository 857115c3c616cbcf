"""The writer of plain.py's rules: new layers, under names that are free."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


class Names:
    """Names of layers, none of them twice."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def name(self, wanted: str) -> str:
        """`wanted`, or with a number behind it where that is taken."""
        found, number = wanted, 1
        while found in self._taken:
            number += 1
            found = f"{wanted}_{number}"
        self._taken.add(found)
        return found


class Writer(Names):
    """Makes the layers of one plain model. users: of the tensors of the model that is rewritten."""

    def __init__(self, users: dict[int, list[Any]]) -> None:
        super().__init__()
        self._users = users
        self._weighted: dict[int, Any] = {}

    def copied(self, operation: Any, **changes: Any) -> Any:
        """A new layer or operation with the configuration of the old one, but for `changes`."""
        config = operation.get_config() | {"name": self.name(operation.name)} | changes
        return type(operation).from_config(config)

    def weighted(self, layer: Any, x: Any, kernel: Array, bias: Array) -> Any:
        """The output of the new layer for `x`, once it has these weights."""
        found = layer(x)
        layer.set_weights([kernel, bias])
        self._weighted[id(found)] = layer
        return found

    def foldable(self, call: Any, x: Any) -> Any:
        """The layer with weights that gives `x` for this call alone, else None."""
        alone = len(self._users[id(call.input_tensors[0])]) == 1
        return self._weighted.get(id(x)) if alone else None
