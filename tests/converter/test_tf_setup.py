"""What Keras is left to import: a process with stand-ins for it and for what it looks for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

KERAS = """
import gc
found = ["collecting"] if gc.isenabled() else []
for name in ("matplotlib", "pandas", "sklearn", "beside"):
    try:
        __import__(name)
        found.append(name)
    except ImportError:
        pass
"""
PROCESS = """
import gc, sys
from edge_converter.tf.setup import leave_out_extras, load_tensorflow
for name in sys.argv[2:]:
    __import__(name)
if sys.argv[1] == "without":
    leave_out_extras()
load_tensorflow()
import keras, matplotlib, pandas, sklearn
print(*keras.found)
sys.exit(not gc.isenabled())
"""


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (["with"], "matplotlib pandas sklearn beside"),
        (["without"], "beside"),
        (["without", "pandas"], "pandas beside"),
    ],
    ids=["with", "without", "one is there"],
)
def test_keras_does_without_extras_where_it_is_told_to(
    line: list[str], found: str, tmp_path: Path
) -> None:
    """One that is there already stays; afterwards all can be imported. Garbage is looked for
    afterwards alone.
    """
    (tmp_path / "keras.py").write_text(KERAS)
    for name in ("tensorflow", "matplotlib", "pandas", "sklearn", "beside"):
        (tmp_path / f"{name}.py").touch()
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", PROCESS, *line],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == (f"{found}\n", 0), done.stderr
