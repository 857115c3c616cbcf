"""`edge-sdk` itself: one table that is the help, the entry points and the commands."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from edge_sdk.bundle.reading import write_bundle
from edge_sdk.cli.table import CONVERTER, CORE, DEVICE, TABLE, edge_sdk, main
from edge_sdk.tflite.tiny import tiny_classifier

Command = Callable[..., subprocess.CompletedProcess[str]]
HEAVY = {"numpy", "cv2", "tensorflow", "keras", "ai_edge_litert", "edge_converter", "edge_device"}


def entry_points() -> dict[str, Any]:
    found = importlib.metadata.entry_points(group="edge_sdk.commands")
    return {entry.name: entry for entry in found}


def installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


HERE = [row for row in TABLE if installed(row.distribution)]


def test_the_table_and_the_entry_points_are_the_same() -> None:
    found = {name: (entry.dist.name, entry.value) for name, entry in entry_points().items()}
    assert found == {row.name: (row.distribution, f"{row.module}:{row.name}") for row in HERE}
    assert {row.distribution for row in TABLE} == {CORE, CONVERTER, DEVICE}
    assert len({row.name for row in TABLE}) == len(TABLE)


@pytest.mark.parametrize("row", HERE, ids=lambda row: row.name)
def test_every_command_loads_by_its_name(row: Any) -> None:
    command = entry_points()[row.name].load()
    assert isinstance(command, click.Command)
    assert command.name == row.name
    assert command.help


def test_the_help_is_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    shown = [tuple(line.split(None, 1)) for line in lines[lines.index("Start:") :] if "  " in line]
    assert shown == [(row.name, row.help) for row in TABLE]
    headings = [line[:-1] for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert headings == ["Options", *dict.fromkeys(row.section for row in TABLE)]
    assert edge_sdk.list_commands(click.Context(edge_sdk)) == [row.name for row in TABLE]
    assert edge_sdk.get_command(click.Context(edge_sdk), "xyzzy") is None


def imported_by(*arguments: str) -> set[str]:
    """Which of HEAVY a command line imports."""
    code = (
        "import sys; from edge_sdk.cli.table import main; status = main(sys.argv[1:]);"
        "print(*sys.modules, file=sys.stderr); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout
    return HEAVY & set(done.stderr.split())


@pytest.mark.parametrize("line", [[], ["--help"], ["-h"], ["--version"]], ids=str)
def test_help_imports_nothing(line: list[str]) -> None:
    assert imported_by(*line) == set()


@pytest.mark.parametrize("row", HERE, ids=lambda row: row.name)
def test_the_help_of_a_command_imports_nothing_heavy(row: Any) -> None:
    assert imported_by(row.name, "--help") <= {"edge_converter", "edge_device"}


def test_alone_it_says_where_to_start(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out.startswith("Start with: edge-sdk demo\n")


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert importlib.metadata.version(CORE) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("typed", "meant"), [("biuld", "build"), ("predicts", "predict"), ("Inspect", "inspect")]
)
def test_an_unknown_command_names_the_nearest(
    typed: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([typed]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"no command '{typed}': did you mean \"{meant}\"?" in printed.err


def test_an_unknown_command_far_from_any_lists_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["xyzzy"]) == 2
    err = capsys.readouterr().err
    assert all(row.name in err for row in TABLE)


WITHOUT = """
import sys
from importlib.machinery import PathFinder
class CoreAlone(PathFinder):
    @classmethod
    def find_spec(cls, name, *where):
        absent = name in ("edge_converter", "edge_device")
        return None if absent else super().find_spec(name, *where)
sys.meta_path[:] = [CoreAlone if found is PathFinder else found for found in sys.meta_path]
from edge_sdk.cli.table import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("command", "package"), [("build", CONVERTER), ("run", DEVICE), ("bench", DEVICE)]
)
def test_a_command_whose_distribution_is_absent(command: str, package: str) -> None:
    """In a process that finds core alone, as where nothing else is installed."""
    for line in ([command], [command, "--help"], [command, "x.edge", "--json"]):
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT, *line], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == (
            f"error: `edge-sdk {command}` comes with {package}, which is not installed\n"
            f"fix: pip install {package}\n"
        )


def test_help_into_a_pipe_that_ends_early() -> None:
    line = f"'{sys.executable}' -m edge_sdk.cli --help | head -1"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout == "Usage: edge-sdk [OPTIONS] [COMMAND] [ARGS]...\n"
    assert done.stderr == ""


def test_the_exit_statuses_of_the_contract(command: Command, tmp_path: Path) -> None:
    assert command("engines").returncode == 0
    missing = command("predict", tmp_path / "x.edge", tmp_path / "x.png", "--json")
    assert (missing.returncode, missing.stdout) == (1, "")
    error, fix = missing.stderr.splitlines()
    assert error == f"error: {tmp_path / 'x.edge'} does not exist"
    assert fix.startswith("fix: ")
    assert command("predict").returncode == 2
    assert "Traceback" in command("predict", "x", "y", env={"EDGE_SDK_DEBUG": "1"}).stderr


def test_a_changed_golden_output_fails_with_status_3(
    command: Command,
    tiny_parts: Callable[..., Any],
    write_images: Callable[..., list[Path]],
    tmp_path: Path,
) -> None:
    manifest, members = tiny_parts()
    members["model.tflite"] = tiny_classifier(seed=99)
    write_bundle(tmp_path / "x.edge", manifest, members)
    done = command("predict", tmp_path / "x.edge", *write_images(tmp_path, 1), "--json")
    assert done.returncode == 3
    assert json.loads(done.stdout)["golden"]["passed"] is False
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["error", "fix"]


def shell(line: str) -> subprocess.CompletedProcess[str]:
    """A line of a shell in which `edge-sdk` is this one."""
    script = f"edge_sdk() {{ '{sys.executable}' -m edge_sdk.cli \"$@\"; }}; {line}"
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("line", ["boards", "boards --json"])
def test_a_full_standard_output_is_an_error(line: str) -> None:
    done = shell(f"edge_sdk {line} >/dev/full")
    assert done.returncode == 1
    assert done.stderr == (
        "error: cannot print the answer: No space left on device\n"
        "fix: free some space, or send standard output elsewhere\n"
    )


def test_a_closed_standard_output_is_an_error() -> None:
    done = shell("edge_sdk boards >&-")
    assert done.returncode == 1
    assert done.stderr.startswith("error: standard output is closed\nfix: ")


@pytest.mark.parametrize("where", ["2>&-", "2>/dev/full"])
def test_nobody_needs_to_read_standard_error(
    where: str,
    tiny_bundle: Callable[..., Path],
    write_images: Callable[..., list[Path]],
    tmp_path: Path,
) -> None:
    write_images(tmp_path / "class0", 2)
    bundle = tiny_bundle(seed=7)
    for line in (f"predict {bundle} {tmp_path}/class0", f"evaluate {bundle} --data {tmp_path}"):
        done = shell(f"edge_sdk {line} --engine fake --json {where}")
        assert done.returncode == 0 and json.loads(done.stdout)
    assert shell(f"edge_sdk predict x.edge y.png {where}").returncode == 1
