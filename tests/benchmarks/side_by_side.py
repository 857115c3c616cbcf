"""CPU of a whole answer beside what others' users run: same model, same images, one core each.

Every contender is a process of its own (contender.py) that answers a few images when it is its
turn; the others wait. Short turns, so that those of one round meet the same weather.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import networks
import numpy as np
import peers
from builds import SHARED, table
from scipy import stats

from edge_sdk import read_image

ROUNDS = 30
SURE = 0.05
"""Of the sign test, two-sided."""
SIZE = (1280, 720)
MODEL_SIZE = (224, 224)
A_TURN = 2
"""Images."""

OURS = "edge-sdk"
OTHERS = {
    "mediapipe": "MediaPipe Tasks ImageClassifier",
    "pil-litert": "pycoral-examples pattern (PIL LANCZOS) on LiteRT",
    "cv2-litert": "aiymakerkit pattern (cv2 CUBIC) on LiteRT",
    "pil-tflite-runtime": "pycoral pattern (PIL LANCZOS) on tflite-runtime 2.14",
}
ELSEWHERE = ("mediapipe", "pil-tflite-runtime")
"""Those that need the peers' environment."""


Tops = list[list[tuple[int, float]]]


@dataclass(frozen=True)
class Found:
    """cpu_ms: a frame, of each turn. tops: of each image the best five as [class, score].
    exact: the same of images that have the model's size already.
    """

    cpu_ms: list[float]
    tops: Tops
    exact: Tops


class Contender:
    """A child process that answers on demand. Raises RuntimeError where it cannot."""

    def __init__(self, python: Path, name: str, model: Path, log: Path) -> None:
        core = min(os.sched_getaffinity(0))
        script = Path(__file__).with_name("contender.py")
        self._log = log
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                [python, script, name, model, str(core)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._line()

    def turn(self, images: Path) -> dict[str, Any]:
        """All of them, answered once."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{images}\n")
        self._process.stdin.flush()
        found: dict[str, Any] = json.loads(self._line())
        return found

    def close(self) -> None:
        """End it."""
        self._process.communicate()

    def _line(self) -> str:
        assert self._process.stdout is not None
        if line := self._process.stdout.readline():
            return line
        self.close()
        lines = self._log.read_text("utf-8", "replace").strip().splitlines()
        raise RuntimeError(lines[-1] if lines else "it ended without a word")


def main() -> None:
    """Print the section, in as many rounds as the command line says."""
    with tempfile.TemporaryDirectory() as name:
        print(section(Path(name), int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS))


def section(folder: Path, rounds: int = ROUNDS) -> str:
    """Of the page."""
    title = "## Side by side\n\n"
    if not SHARED.is_dir():
        return title + networks.NOT_HERE
    names, turns = _write_images(folder)
    found, absent = _measure(folder, turns, rounds)
    ours = found.pop(OURS)
    rows = [["Edge SDK", networks.spread(ours.cpu_ms), *["-"] * 4]]
    rows += [_row(OTHERS[name], ours, other) for name, other in found.items()]
    rows += [[OTHERS[name], f"not measured: {why}", *["-"] * 4] for name, why in absent.items()]
    head = (
        *("contender", "CPU ms a frame [min - max]", "of Edge SDK's [95 %]", "Edge SDK takes less"),
        *("same top-1", f"fed {MODEL_SIZE[0]}x{MODEL_SIZE[1]}"),
    )
    return (
        f"{title}{networks.MOBILENET}, {len(names)} photographs cut to {SIZE[0]}x{SIZE[1]} RGB in "
        "memory to the five best classes; every contender in a process of its own on the same "
        f"core, with one thread; {rounds} rounds in turns of {A_TURN} images. All stretch the "
        "image to the model's size, each with its own filter (Edge SDK: cv2 LINEAR). The sign "
        f"test is two-sided over the turns; the bar is less CPU than each, with p below {SURE:g}. "
        "`.venv/bin/python tests/benchmarks/side_by_side.py` measures it alone.\n\n"
        f"{table(head, rows)}\n\n{_differences(names, ours, found)}"
    )


def _write_images(folder: Path) -> tuple[list[str], list[Path]]:
    """All photographs at SIZE, a file for each turn, and small.npy with all at MODEL_SIZE, into
    `folder`. Returns their names and the files.
    """
    paths = sorted(path for path in (SHARED / "images").iterdir() if path.is_file())
    large = [_cut(read_image(path).pixels) for path in paths]
    small = [cv2.resize(pixels, MODEL_SIZE, interpolation=cv2.INTER_AREA) for pixels in large]
    np.save(folder / "small.npy", np.stack(small))
    turns = []
    for first in range(0, len(large), A_TURN):
        turns.append(folder / f"large-{first}.npy")
        np.save(turns[-1], np.stack(large[first : first + A_TURN]))
    return [path.stem for path in paths], turns


def _cut(bgr: Any) -> Any:
    """The largest part of SIZE's shape from the middle, at SIZE, RGB."""
    height, width = bgr.shape[:2]
    scale = min(width / SIZE[0], height / SIZE[1])
    across, down = int(SIZE[0] * scale), int(SIZE[1] * scale)
    left, top = (width - across) // 2, (height - down) // 2
    part = bgr[top : top + down, left : left + across]
    return cv2.cvtColor(cv2.resize(part, SIZE, interpolation=cv2.INTER_CUBIC), cv2.COLOR_BGR2RGB)


def _measure(
    folder: Path, turns: list[Path], rounds: int
) -> tuple[dict[str, Found], dict[str, str]]:
    """What was found about each contender, and why others are absent."""
    absent: dict[str, str] = {}
    children: dict[str, Contender] = {}
    small: dict[str, Tops] = {}
    with ExitStack() as stack:
        for name in (OURS, *OTHERS):
            try:
                child = _start(name, folder)
                stack.callback(child.close)
                small[name] = child.turn(folder / "small.npy")["tops"]
                children[name] = child
            except (peers.NoPeers, RuntimeError, OSError) as error:
                if name == OURS:
                    raise
                absent[name] = str(error)
        rows = _in_turns(children, turns * rounds)
    return {name: _found(rows[name], len(turns), small[name]) for name in children}, absent


def _in_turns(children: dict[str, Contender], turns: list[Path]) -> dict[str, list[dict[str, Any]]]:
    """The turns of each; the order turns round every other time."""
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in children}
    for number, images in enumerate(turns):
        for name in list(children)[:: 1 if number % 2 == 0 else -1]:
            rows[name].append(children[name].turn(images))
    return rows


def _start(name: str, folder: Path) -> Contender:
    python = peers.python() if name in ELSEWHERE else Path(sys.executable)
    model = SHARED / "models" / f"{networks.MOBILENET}.tflite"
    if name == OURS:
        model = networks.bundle(networks.MOBILENET, folder, "stretched", fit="stretch")
    return Contender(python, name, model, folder / f"{name}.log")


def _found(rows: list[dict[str, Any]], a_round: int, exact: Tops) -> Found:
    """a_round: turns in which all images were answered once."""
    tops = [top for row in rows[:a_round] for top in row["tops"]]
    return Found([row["cpu_ns"] / len(row["tops"]) / 1e6 for row in rows], tops, exact)


def _same(ours: Tops, theirs: Tops) -> str:
    same = sum(a[0][0] == b[0][0] for a, b in zip(ours, theirs, strict=True))
    return f"{same} of {len(ours)}"


def _row(title: str, ours: Found, other: Found) -> list[str]:
    pairs = list(zip(ours.cpu_ms, other.cpu_ms, strict=True))
    ratio = networks.interval([theirs / own for own, theirs in pairs], 2)
    return [
        title,
        networks.spread(other.cpu_ms),
        ratio,
        sign_test(pairs),
        _same(ours.tops, other.tops),
        _same(ours.exact, other.exact),
    ]


def sign_test(pairs: list[tuple[float, float]]) -> str:
    """Whether the first of each pair is less, in words; ties are left out."""
    less = sum(own < theirs for own, theirs in pairs)
    more = sum(own > theirs for own, theirs in pairs)
    p = float(stats.binomtest(less, less + more).pvalue) if less + more else 1.0
    said = "not resolved"
    if p < SURE:
        said = "met" if less > more else "**not met**"
    return f"in {less} of {len(pairs)}, p = {p:.1g}: {said}"


def _differences(names: list[str], ours: Found, found: dict[str, Found]) -> str:
    """Where another contender's first class is not ours."""
    lines = []
    for other, theirs in found.items():
        for image, a, b in zip(names, ours.tops, theirs.tops, strict=True):
            if a[0][0] != b[0][0]:
                place = next((i + 1 for i, pair in enumerate(b) if pair[0] == a[0][0]), None)
                where = f"their number {place}" if place else "not among their five"
                lines.append(
                    f"- {image}, {OTHERS[other]}: class {b[0][0]} ({b[0][1]:.2f}) before ours, "
                    f"{a[0][0]} ({a[0][1]:.2f}), which is {where}."
                )
    if not lines:
        return "The first class is the same for all."
    width, height = MODEL_SIZE
    return (
        f"Where the first class differs; the last column is about the same images at {width}x"
        f"{height}, which nobody resizes: what is the same there differs by the filter alone. "
        "tflite-runtime also runs int8 by other kernels, without XNNPACK.\n\n" + "\n".join(lines)
    )


if __name__ == "__main__":
    main()
