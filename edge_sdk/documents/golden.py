"""edge-sdk/golden/1: a bundle whose golden samples fail on this machine (exit status 3)."""

from typing import Literal, TypedDict

from edge_sdk.documents.common import BundleIdentity, Engine, GoldenOutcome


class GoldenFailed(TypedDict):
    """Printed by any command that opens the bundle, instead of its own document."""

    schema: Literal["edge-sdk/golden/1"]
    bundle: BundleIdentity
    engine: Engine
    golden: GoldenOutcome
