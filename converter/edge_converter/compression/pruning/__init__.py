"""Pruning: channels that are cut out, or weights that become zero.

Channels: `trace` numbers them and finds which ones belong together, `rank` says which carry least,
`choose` which go, `narrowed` builds the model without them. Weights: `magnitude`.
"""

from __future__ import annotations

from edge_converter.compression.pruning.channels import Trace, trace
from edge_converter.compression.pruning.narrow import choose, narrowed
from edge_converter.compression.pruning.rank import entropies, l1_norms

__all__ = ["Trace", "choose", "entropies", "l1_norms", "narrowed", "trace"]
