"""`python -m edge_sdk.cli`: the command, without its script."""

from __future__ import annotations

import sys

from edge_sdk.cli.table import main

sys.exit(main())
