"""edge-sdk/demo/1: the build and the run of the demo."""

from typing import Literal, TypedDict

from edge_sdk.documents.build import Build
from edge_sdk.documents.run import Run


class Demo(TypedDict):
    """Printed by `demo`."""

    schema: Literal["edge-sdk/demo/1"]
    bundle: str  # path
    report: str  # path
    build: Build
    run: Run
