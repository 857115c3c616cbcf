"""These tests run in a root (tests/arm64/run.py), with `references` and `virtual_camera` beside."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

# Elsewhere there is nothing to compare with.
collect_ignore_glob = [] if Path("/edge/case/models").is_dir() else ["test_*.py"]
