"""Files are written whole or not at all, and every way of failing says what to do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_sdk.errors import FileError
from edge_sdk.files import is_folder, read_file, state_folder, write_atomic

AS_ROOT = pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write anything")


def test_written_whole_with_the_usual_permissions(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "数据.bin"
    before = os.umask(0o027)
    try:
        write_atomic(path, b"one")
        write_atomic(path, b"two")
    finally:
        os.umask(before)
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_in_the_way(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="is a folder") as caught:
        write_atomic(tmp_path, b"x")
    assert str(tmp_path) in caught.value.fix


@pytest.mark.parametrize("name", ["file/inside", "x" * 300])
def test_a_path_that_cannot_be(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    for use in (lambda p: write_atomic(p, b"x"), lambda p: read_file(p, what="bundle")):
        with pytest.raises(FileError) as caught:
            use(tmp_path / name)
        assert caught.value.fix


@AS_ROOT
def test_no_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o000)
    for use in (lambda p: write_atomic(p, b"x"), lambda p: read_file(p, what="bundle")):
        with pytest.raises(FileError, match="cannot"):
            use(tmp_path / "x")
    tmp_path.chmod(0o700)


def test_reading_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="does not exist") as caught:
        read_file(tmp_path / "a.edge", what="bundle")
    assert "a bundle file is expected" in caught.value.fix
    with pytest.raises(FileError, match="is a folder, not a bundle"):
        read_file(tmp_path, what="bundle")
    os.mkfifo(tmp_path / "pipe")
    for endless in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(FileError, match="is a pipe or a device, not a bundle"):
            read_file(endless, what="bundle")
    (tmp_path / "big").write_bytes(b"12345")
    with pytest.raises(FileError, match="5 bytes, at most 4"):
        read_file(tmp_path / "big", what="bundle", max_bytes=4)
    assert read_file(tmp_path / "big", what="bundle", max_bytes=5) == b"12345"


def test_the_state_folder_follows_the_environment(fresh_state: Path) -> None:
    assert state_folder() == fresh_state


def test_whether_it_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert is_folder(tmp_path)
    assert not is_folder(tmp_path / "file")
    assert not is_folder(tmp_path / "none")
    with pytest.raises(FileError, match="File name too long"):
        is_folder(tmp_path / ("x" * 300))


LIMITED = """
import resource, signal, sys
from edge_sdk.errors import FileError
from edge_sdk.files import write_atomic
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_atomic(sys.argv[1], b"n" * 100_000)
except FileError as error:
    print(error, error.fix, sep="; ")
"""


def test_no_room_leaves_the_old_file(tmp_path: Path, unmeasured: dict[str, str]) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    line = [sys.executable, "-c", LIMITED, path]
    done = subprocess.run(line, capture_output=True, text=True, check=True, env=unmeasured)
    assert done.stdout.startswith(
        f"cannot write {path}: File too large; free some space, or give another"
    )
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


ENDLESS = """
import sys
from edge_sdk.files import write_atomic
try:
    print("started", flush=True)
    while True:
        for letter in b"ab":
            write_atomic(sys.argv[1], bytes([letter]) * 3_000_000)
except KeyboardInterrupt:
    sys.exit(5)
"""


@pytest.mark.campaign
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_at_any_moment_the_file_is_whole(
    tmp_path: Path,
    number: signal.Signals,
    campaign: Callable[[str, int, int], int],
    unmeasured: dict[str, str],
) -> None:
    random = np.random.default_rng(number)
    path = tmp_path / "x"
    for _ in range(campaign("kills", 4, 200)):
        line = [sys.executable, "-c", ENDLESS, path]
        with subprocess.Popen(line, stdout=subprocess.PIPE, env=unmeasured) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            with pytest.raises(subprocess.TimeoutExpired):
                writer.wait(random.uniform(0.001, 0.08))
            writer.send_signal(number)
        assert writer.returncode == (5 if number == signal.SIGINT else -signal.SIGKILL)
        data = path.read_bytes() if path.exists() else b""
        assert data == data[:1] * len(data)
        assert len(data) in (0, 3_000_000)
        if number == signal.SIGINT:
            assert set(tmp_path.iterdir()) <= {path}, "a temporary file was left behind"
