"""Bundles that are damaged or crafted: each is a BundleError, nothing else, and nothing happens.

A crafted bundle here has a valid outer SHA-256: whoever can write a bundle can write its hash.
"""

from __future__ import annotations

import hashlib
import io
import json
import stat
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk import Bundle
from edge_sdk.bundle.manifest import Manifest, MemberEntry
from edge_sdk.errors import BundleError

Parts = tuple[Manifest, dict[str, bytes]]
Entry = tuple[str | zipfile.ZipInfo, bytes] | tuple[str | zipfile.ZipInfo, bytes, int]
MIB = 1024 * 1024
LABELS = b"class0\nclass1\nclass2\n"


def seal(entries: list[Entry]) -> bytes:
    """A zip of (name, data[, compression]) whose comment is the SHA-256 of what is before it."""
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w") as archive:
        warnings.simplefilter("ignore")  # zipfile warns of duplicate names
        for name, data, *compression in entries:
            archive.writestr(name, data, *compression)
        archive.comment = b"0" * 64
    return sealed(file.getvalue())


def sealed(data: bytes) -> bytes:
    """`data` with its last 64 bytes replaced by the SHA-256 of the others."""
    return data[:-64] + hashlib.sha256(data[:-64]).hexdigest().encode()


def listing(members: Mapping[str, bytes]) -> dict[str, MemberEntry]:
    return {
        name: MemberEntry(len(data), hashlib.sha256(data).hexdigest())
        for name, data in members.items()
    }


def packed(manifest: Manifest, members: Mapping[str, bytes]) -> bytes:
    """A bundle with a manifest that lists its members, whatever they are."""
    manifest = replace(manifest, members=listing(members))
    return seal([("manifest.json", manifest.to_json()), *members.items()])


def opened(data: bytes, folder: Path) -> Bundle:
    path = folder / "x.edge"
    path.write_bytes(data)
    return Bundle.open(path)


def refused(data: bytes, folder: Path) -> str:
    with pytest.raises(BundleError) as caught:
        opened(data, folder)
    assert caught.value.fix
    return str(caught.value)


def flip(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.fixture
def whole(tiny_bundle: Callable[..., Path]) -> bytes:
    return tiny_bundle(build="{}").read_bytes()


def test_these_tests_seal_bundles_that_open(
    tiny_parts: Callable[..., Parts], whole: bytes, tmp_path: Path
) -> None:
    assert opened(packed(*tiny_parts()), tmp_path).labels == ("class0", "class1", "class2")
    assert sealed(whole) == whole


@pytest.mark.campaign
def test_one_flipped_bit_anywhere_is_refused(
    whole: bytes, tmp_path: Path, campaign: Callable[[str, int, int], int]
) -> None:
    random = np.random.default_rng(0)
    every = 8 * len(whole)
    for bit in random.choice(every, campaign("bits", 200, every), replace=False):
        refused(flip(whole, int(bit)), tmp_path)


def test_one_flipped_bit_in_the_end_record_is_refused(whole: bytes, tmp_path: Path) -> None:
    end_record = whole.rindex(b"PK\5\6")
    assert len(whole) - end_record == 22 + 64
    for bit in range(8 * end_record, 8 * len(whole)):
        refused(flip(whole, bit), tmp_path)


def test_truncated_at_any_length_is_refused(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.edge"
    path.write_bytes(whole)
    with path.open("r+b") as file:
        for length in range(len(whole) - 1, -1, -1):
            file.truncate(length)
            with pytest.raises(BundleError):
                Bundle.open(path)


def test_with_bytes_after_it_is_refused(whole: bytes, tmp_path: Path) -> None:
    assert "truncated or is not a bundle" in refused(whole + b"\n", tmp_path)
    assert "is damaged" in refused(whole + whole[-64:], tmp_path)


def test_a_stored_member_has_one_size(whole: bytes, tmp_path: Path) -> None:
    """As many bytes are read as it has, whatever the other size says."""
    size = whole.rindex(b"PK\1\2") + 24
    stated = int.from_bytes(whole[size : size + 4], "little")
    changed = whole[:size] + (stated - 1).to_bytes(4, "little") + whole[size + 4 :]
    assert "has two sizes" in refused(sealed(changed), tmp_path)


def as_link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def manifest_entry(
    members: dict[str, Any] | None = None, *, listed: bool = False, **changes: Any
) -> Callable[[list[Entry]], list[Entry]]:
    """The first entry (manifest.json) with top-level keys changed; `listed`: members are added to
    the list, else they are the list.
    """

    def change(entries: list[Entry]) -> list[Entry]:
        document = json.loads(entries[0][1]) | changes
        if members is not None:
            document["members"] = {**(document["members"] if listed else {}), **members}
        return [("manifest.json", json.dumps(document).encode()), *entries[1:]]

    return change


# Each: what is done to the list of entries, what the error must say.
CRAFTED: dict[str, tuple[Callable[[list[Entry]], list[Entry]], str]] = {
    "climbing": (lambda e: [*e, ("../x", b"")], "unknown member '../x'"),
    "absolute": (lambda e: [*e, ("/etc/passwd", b"")], "unknown member '/etc/passwd'"),
    "folder": (lambda e: [*e, ("data/", b"")], "unknown member 'data/'"),
    "unknown": (lambda e: [*e, ("notes.txt", b"")], "unknown member 'notes.txt'"),
    "extra": (lambda e: [*e, ("build.json", b"{}")], "build.json is not in the manifest's list"),
    "missing": (lambda e: e[:-1], "is missing"),
    "no manifest": (lambda e: e[1:], "has no manifest.json"),
    "nothing": (lambda e: [("labels.txt", b"")], "has no manifest.json"),
    "twice": (lambda e: [*e, e[1]], "twice"),
    "two manifests": (lambda e: [*e, e[0]], "has manifest.json twice"),
    "case": (lambda e: [*e, ("Model.tflite", b"")], "unknown member 'Model.tflite'"),
    "many": (lambda e: [(f"{i}", b"") for i in range(65)], "has 65 members, at most 64"),
    "link": (lambda e: [*e, (as_link("build.json"), b"/etc/passwd")], "is not a plain file"),
    "deflate": (
        lambda e: [*e, ("build.json", b"{}", zipfile.ZIP_DEFLATED)],
        "build.json is compressed in an unknown way",
    ),
    "ratio": (
        lambda e: [*e, ("build.json", b"{}" + b" " * MIB, zipfile.ZIP_LZMA)],
        "build.json expands more than 20 times",
    ),
    "newer": (manifest_entry(schema="edge-sdk/manifest/2"), "has schema 'edge-sdk/manifest/2'"),
    "not ours": (manifest_entry(schema="x"), "has schema 'x'"),
    "no members": (manifest_entry(members={}), "is not in the manifest's list"),
    "another size": (
        manifest_entry(
            members={"labels.txt": {"bytes": 22, "sha256": hashlib.sha256(LABELS).hexdigest()}},
            listed=True,
        ),
        "labels.txt does not match",
    ),
    "listed only": (
        manifest_entry(members={"build.json": {"bytes": 2, "sha256": "0"}}, listed=True),
        "build.json is missing",
    ),
    "not json": (lambda e: [("manifest.json", b"{"), *e[1:]], "manifest.json is not JSON"),
    "other bytes": (
        lambda e: [*e[:-1], (e[-1][0], e[-1][1][:-1] + b"?")],
        "does not match its SHA-256",
    ),
    "shorter": (lambda e: [*e[:-1], (e[-1][0], e[-1][1][:-1])], "does not match its SHA-256"),
}


@pytest.mark.parametrize("name", CRAFTED)
def test_crafted(name: str, tiny_parts: Callable[..., Parts], tmp_path: Path) -> None:
    manifest, members = tiny_parts()
    manifest = replace(manifest, members=listing(members))
    change, says = CRAFTED[name]
    entries: list[Entry] = [("manifest.json", manifest.to_json()), *members.items()]
    assert says in refused(seal(change(entries)), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["x.edge"]


# Each: a member with its right size and hash in the list, and what the error must say.
CONTENTS: dict[str, tuple[str, bytes, str]] = {
    "more labels": ("labels.txt", b"a\nb\nc\nd\n", "has 4 labels, the manifest says 3"),
    "fewer labels": ("labels.txt", b"a\nb\n", "has 2 labels, the manifest says 3"),
    "labels in another encoding": ("labels.txt", b"caf\xe9\nb\nc\n", "is not UTF-8"),
    "build record no JSON": ("build.json", b"{", "build.json is not JSON"),
    "build record no object": ("build.json", b"[1]", "build.json is not JSON"),
    "build record not UTF-8": ("build.json", b'{"a": "\xff"}', "build.json is not JSON"),
    "build record nested": ("build.json", b'{"a":' * 100_000, "build.json is not JSON"),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_contents(name: str, tiny_parts: Callable[..., Parts], tmp_path: Path) -> None:
    member, data, says = CONTENTS[name]
    manifest, members = tiny_parts()
    assert says in refused(packed(manifest, {**members, member: data}), tmp_path)


@pytest.mark.parametrize("depth", [900, 950, 980, 990, 994])
def test_a_build_record_nested_as_deep_as_json_allows(
    depth: int, tiny_parts: Callable[..., Parts], tmp_path: Path
) -> None:
    manifest, members = tiny_parts()
    members["build.json"] = b'{"a":' + b"[" * depth + b"]" * depth + b"}"
    try:
        bundle = opened(packed(manifest, members), tmp_path)
    except BundleError:
        return
    assert list(bundle.build) == ["a"]


def with_sizes(data: bytes, name: bytes, *, stored: int, unpacked: int) -> bytes:
    """A zip with other sizes for a member in its central directory."""
    changed = bytearray(data)
    entry = data.rindex(name) - 46
    assert data[entry : entry + 4] == b"PK\1\2"
    changed[entry + 20 : entry + 24] = stored.to_bytes(4, "little")
    changed[entry + 24 : entry + 28] = unpacked.to_bytes(4, "little")
    return bytes(changed)


def test_more_than_256_mib_declared(tiny_parts: Callable[..., Parts], tmp_path: Path) -> None:
    data = packed(*tiny_parts())
    for name in (b"model.tflite", b"golden.npz"):
        data = with_sizes(data, name, stored=200 * MIB, unpacked=200 * MIB)
    assert "at most 268435456" in refused(sealed(data), tmp_path)


def test_a_size_that_is_a_lie(tiny_parts: Callable[..., Parts], tmp_path: Path) -> None:
    data = packed(*tiny_parts())
    for size in (0, 1, 100, 100_000):
        lying = with_sizes(data, b"model.tflite", stored=size, unpacked=size)
        refused(sealed(lying), tmp_path)


def test_an_lzma_bomb_with_a_false_size_takes_no_memory(
    tiny_parts: Callable[..., Parts], tmp_path: Path
) -> None:
    manifest, members = tiny_parts()
    entries: list[Entry] = [("manifest.json", manifest.to_json()), *members.items()]
    bomb = seal([*entries, ("build.json", b"\0" * (128 * MIB), zipfile.ZIP_LZMA)])
    assert len(bomb) < MIB
    lying = sealed(with_sizes(bomb, b"build.json", stored=18_000, unpacked=100_000))
    tracemalloc.start()
    try:
        assert "cannot be unpacked" in refused(lying, tmp_path)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 100 * MIB


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def fitting(name: str, value: Any = None) -> dict[str, Any]:
    """Arrays that fit the tiny bundle, but for one."""
    arrays: dict[str, Any] = {
        "input_0": np.zeros((10, 1, 4, 4, 1), np.int8),
        "output_0": np.zeros((10, 1, 3), np.int8),
    }
    if value is None:
        del arrays[name]
    else:
        arrays[name] = value
    return arrays


def huge_npy() -> bytes:
    """A .npy header that promises 10^15 bytes, and a few."""
    header = b"{'descr': '|i1', 'fortran_order': False, 'shape': (10, 10000000000000), }"
    header += b" " * (117 - len(header)) + b"\n"
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + b"\0" * 64


def deflated(name: str, data: bytes, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr(name, data)
    return file.getvalue()


GOLDEN: dict[str, tuple[Callable[[], bytes], str]] = {
    "pickles": (
        lambda: npz(**fitting("output_0", np.array([{"a": 1}], object))),
        "cannot be read: Object arrays cannot be loaded",
    ),
    "no input": (lambda: npz(**fitting("input_0")), "has no input_0 of int8[10, 1, 4, 4, 1]"),
    "no output": (lambda: npz(**fitting("output_0")), "has no output_0 of int8[10, 1, 3]"),
    "fewer samples": (
        lambda: npz(**fitting("output_0", np.zeros((9, 1, 3), np.int8))),
        "has no output_0",
    ),
    "other shape": (
        lambda: npz(**fitting("input_0", np.zeros((10, 4, 4), np.int8))),
        "has no input_0",
    ),
    "other dtype": (
        lambda: npz(**fitting("output_0", np.zeros((10, 1, 3), np.uint8))),
        "has no output_0",
    ),
    "other byte order": (
        lambda: npz(**fitting("output_0", np.zeros((10, 1, 3), ">i2"))),
        "has no output_0",
    ),
    "one array": (lambda: huge_npy(), "cannot be read"),
    "promises": (lambda: deflated("input_0.npy", huge_npy()), "cannot be read"),
    "empty": (lambda: b"", "cannot be read"),
    "lzma": (
        lambda: deflated("input_0.npy", b"", zipfile.ZIP_LZMA),
        "is compressed in an unknown way",
    ),
    "bomb": (
        lambda: with_sizes(
            deflated("input_0.npy", b"\0"), b"input_0.npy", stored=9, unpacked=256 * MIB + 1
        ),
        "cannot be read: it is too large",
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_samples(name: str, tiny_parts: Callable[..., Parts], tmp_path: Path) -> None:
    make, says = GOLDEN[name]
    manifest, members = tiny_parts()
    bundle = opened(packed(manifest, {**members, "golden.npz": make()}), tmp_path)
    with pytest.raises(BundleError) as caught:
        bundle.golden()
    assert says in str(caught.value)


def test_golden_pickles_beside_the_samples_are_never_loaded(
    tiny_parts: Callable[..., Parts], tmp_path: Path
) -> None:
    manifest, members = tiny_parts()
    members["golden.npz"] = npz(**fitting("extra", np.array([{"a": 1}], object)))
    golden = opened(packed(manifest, members), tmp_path).golden()
    assert golden.outputs[0].shape == (10, 1, 3)


def use_all(data: bytes, folder: Path) -> bool:
    """Open a bundle and read all that is in it; whether it was refused."""
    try:
        with opened(data, folder) as bundle:
            assert len(bundle.labels) == bundle.manifest.labels.count
            assert isinstance(bundle.build, dict)
            assert bundle.golden().inputs
            assert isinstance(bundle.model(), bytes)
    except BundleError as error:
        assert error.fix
        return True
    return False


@pytest.mark.campaign
def test_random_damage_under_a_valid_sha_256_is_refused_or_harmless(
    whole: bytes, tmp_path: Path, campaign: Callable[[str, int, int], int]
) -> None:
    """The zip's own structure, damaged: local headers, central directory, end record."""
    random = np.random.default_rng(0)
    directory = whole.index(b"PK\1\2")
    outcomes = set()
    for _ in range(campaign("bundles", 500, 50_000)):
        changed = bytearray(whole)
        for _ in range(random.integers(1, 4)):
            low = random.choice([0, directory])
            changed[random.integers(low, len(whole) - 64)] = random.choice([0, 1, 64, 255])
        outcomes.add(use_all(sealed(bytes(changed)), tmp_path))
    assert outcomes == {True, False}


@given(st.data())
def test_any_contents_under_a_valid_sha_256_are_refused_or_used(
    tiny_parts: Callable[..., Parts], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    manifest, members = tiny_parts()
    name = data.draw(st.sampled_from(["labels.txt", "golden.npz", "build.json", "model.tflite"]))
    members[name] = data.draw(st.binary() | st.text().map(str.encode))
    folder = tmp_path_factory.getbasetemp()
    use_all(packed(manifest, members), folder)


def test_a_member_under_another_name_in_its_own_header(whole: bytes, tmp_path: Path) -> None:
    local = whole.index(b"labels.txt")
    changed = whole[:local] + b"labels.tx_" + whole[local + 10 :]
    assert "cannot be unpacked" in refused(sealed(changed), tmp_path)
