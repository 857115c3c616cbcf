"""Opening a model: in a child process first where this machine has not run it before.

A crafted file can crash an interpreter. So a model given by itself, or in a bundle that this
machine has not accepted yet, is opened and run once in a child. A bundle whose members match their
hashes, that survives, and whose golden outputs all match, is accepted: from then on the hash of the
file and one golden sample are checked, and all again when the engine or the machine is another
(proofs.py).
"""

from __future__ import annotations

from edge_sdk.bundle.reading import Bundle
from edge_sdk.engines import AUTO, Engine, EngineSpec, choose_engine, open_spec
from edge_sdk.inference.golden import GoldenCheck, require_golden
from edge_sdk.inference.proofs import recall, remember


def open_bundle_engine(
    bundle: Bundle, name: str = AUTO, *, threads: int = 1, prove: bool = False
) -> tuple[Engine, GoldenCheck]:
    """An engine on a bundle's model, checked by its golden samples: by all of them, or by one where
    all matched before. prove: check all again.

    Raises BundleError when a member does not match its hash, ModelError when the model crashes its
    interpreter, GateFailed when its golden outputs do not match, and what `choose_engine` and
    `open_engine` raise.
    """
    spec = choose_engine(bundle.manifest.models, name, threads=threads)
    model = bundle.model(spec.backend.model)
    proven_on = None if prove else recall(bundle, spec)
    if proven_on is None:
        bundle.verify()
        _try_model(spec, model)
    engine = open_spec(spec, model)
    try:
        known = proven_on == engine.info
        check = require_golden(bundle, engine, samples=1 if known else None)
    except BaseException:
        engine.close()
        raise
    if not known and check.passed:
        remember(bundle, spec, engine.info)
    return engine, check


def open_bare_engine(model: bytes, name: str = AUTO, *, threads: int = 1) -> Engine:
    """An engine on a .tflite file given by itself. Raises as `open_bundle_engine`, but for golden
    outputs: there are none.
    """
    spec = EngineSpec.parse(name, threads=threads)
    _try_model(spec, model)
    return open_spec(spec, model)


def _try_model(spec: EngineSpec, model: bytes) -> None:
    from edge_sdk.engines.isolated import try_model  # most starts need no child

    try_model(spec.name, model)
