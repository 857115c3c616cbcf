"""`make campaign`: every test marked `campaign` at full count, into docs/campaigns.json."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Run them; the exit status of pytest."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "campaigns.xml"
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "tests", "--ignore=tests/benchmarks"),
                *("-m", "campaign", f"--junit-xml={record}", "-o", "junit_family=xunit1"),
                *("-n", "2"),  # the longest wait for processes
            ],
            cwd=ROOT,
            env={**os.environ, "EDGE_SDK_CAMPAIGN": "1"},
            check=False,
        )
        campaigns = [_outcome(case) for case in ElementTree.parse(record).iter("testcase")]
    document = {
        "date": str(datetime.date.today()),
        "commit": _commit(),
        "command": "make campaign",
        "campaigns": campaigns,
    }
    path = ROOT / "docs" / "campaigns.json"
    path.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    return done.returncode


def _outcome(case: ElementTree.Element) -> dict[str, Any]:
    """A test's name, the counts it recorded, and how it ended."""
    failed = case.find("failure") is not None or case.find("error") is not None
    skipped = case.find("skipped")
    properties = {p.get("name"): p.get("value") for p in case.iter("property")}
    return {
        "name": f"{case.get('classname')}.{case.get('name')}",
        **{str(name): int(value or 0) for name, value in properties.items()},
        "outcome": "failed" if failed else "skipped" if skipped is not None else "passed",
        "seconds": round(float(case.get("time") or 0), 1),
    }


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
