"""Builds of built-in recipes, kept from one run to the next, and what is said about several."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scipy import stats

from edge_converter.builder.stage_cache import FORMAT

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"
SIGNS = {
    "data.source": f"folder:{SHARED / 'images' / 'sign_digits'}",
    "model.weights": f"file:{SHARED / 'models' / 'tf2_mobilenet_v2_1.0_224_ptq.tflite'}",
}
"""Settings of `sign_digits`."""

RECIPES = ROOT / "converter" / "edge_converter" / "recipes"

Document = dict[str, Any]

_commits: dict[str, set[str]] = {}


def build(recipe: str, out: Path, settings: Mapping[str, Any]) -> Document:
    """The build document of a built-in recipe; a missed budget is part of what is reported. Stages
    are kept in the folder of `out`, which several builds may share.
    """
    command = [sys.executable, "-m", "edge_sdk.cli", "build", f"recipe:{recipe}", "--json"]
    command += ["--out", str(out)]
    for key, value in settings.items():
        text = value if isinstance(value, str) else json.dumps(value)
        command += ["--set", f"{key}={text}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode not in (0, 3):
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    document: Document = json.loads(done.stdout)
    print(recipe, dict(settings), accuracy(document), file=sys.stderr, flush=True)
    return document


def kept(recipe: str, place: Path, settings: Mapping[str, Any]) -> tuple[Document, Path]:
    """`build` in `place`, and its bundle; kept there with its commit until the recipe changes, or
    what a stage makes of it. All builds in one place share stages, a teacher among them.
    """
    text = (RECIPES / f"{recipe}.toml").read_text("utf-8")
    digest = hashlib.sha256(
        json.dumps([FORMAT, text, settings], sort_keys=True).encode()
    ).hexdigest()
    bundle = place / f"{digest[:8]}.edge"
    record = bundle.with_suffix(".json")
    if not record.exists():
        document = build(recipe, bundle, settings)
        record.write_text(json.dumps({"commit": commit(), "document": document}), "utf-8")
    found = json.loads(record.read_text("utf-8"))
    _commits.setdefault(found["commit"], set()).add(f"`{recipe}`")
    return found["document"], bundle


def commits() -> str:
    """At which commits the builds that were asked for are: "61e24aa: `digits_seed`, …"."""
    return "; ".join(f"{at}: {', '.join(sorted(of))}" for at, of in _commits.items())


def commit() -> str:
    """What is measured."""
    command = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()


def accuracy(document: Document) -> float:
    """That of the converted model on the test part."""
    value: float = document["converted"]["accuracy"]
    return value


def student(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean over seeds with Student's 95 % interval."""
    mean = sum(values) / len(values)
    error = stats.sem(values) or 1e-12
    low, high = stats.t.interval(0.95, len(values) - 1, loc=mean, scale=error)
    return mean, float(low), float(high)


def points(mean: float, low: float, high: float) -> str:
    """Shares as percentage points: "+0.68 pp [-0.34 - +1.70]"."""
    shown = (f"{round(100 * value, 2) + 0.0:+.2f}" for value in (mean, low, high))  # no "-0.00"
    return "{} pp [{} - {}]".format(*shown)


def verdict(met: bool) -> str:
    """Of a bar."""
    return "met" if met else "**not met**"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """In Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
