"""`make campaign`: every test marked `campaign` at full count, into docs/campaigns.json.

`make campaign ONLY=EXPRESSION` runs those that pytest's -k selects and keeps what the file says of
the others: each entry has the date and the commit at which it was run.
"""

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


PATH = ROOT / "docs" / "campaigns.json"


def main(only: str) -> int:
    """Run them; the exit status of pytest. only: an expression for -k, "" for all."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "campaigns.xml"
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "tests", "--ignore=tests/benchmarks"),
                *("-m", "campaign", f"--junit-xml={record}", "-o", "junit_family=xunit1"),
                *("-n", "2"),  # the longest wait for processes
                *(["-k", only] if only else []),
            ],
            cwd=ROOT,
            env={**os.environ, "EDGE_SDK_CAMPAIGN": "1"},
            check=False,
        )
        campaigns = [_outcome(case) for case in ElementTree.parse(record).iter("testcase")]
    if only:
        names = {campaign["name"] for campaign in campaigns}
        before = json.loads(PATH.read_text("utf-8"))["campaigns"]
        campaigns += [campaign for campaign in before if campaign["name"] not in names]
    document = {
        "command": "make campaign",
        "campaigns": sorted(campaigns, key=lambda campaign: str(campaign["name"])),
    }
    PATH.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
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
        "date": str(datetime.date.today()),
        "commit": _commit(),
    }


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
