"""Images as people have them: turned by EXIF, grey, transparent, 16-bit, cut off, or none."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge_sdk import Frame, read_image
from edge_sdk.errors import DataError, FileError, ImageError
from edge_sdk.images.image_files import decode_image, list_classes, list_images, write_image

Pixels = NDArray[Any]


def quadrants(height: int = 32, width: int = 48) -> Pixels:
    """BGR with another colour in each corner: every rotation and mirror image differs."""
    pixels = np.zeros((height, width, 3), np.uint8)
    h, w = height // 2, width // 2
    pixels[:h, :w], pixels[:h, w:] = (250, 0, 0), (0, 250, 0)
    pixels[h:, :w], pixels[h:, w:] = (0, 0, 250), (250, 250, 250)
    return pixels


def smooth(height: int = 60, width: int = 80) -> Pixels:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.GaussianBlur(pixels, (0, 0), 3)


def encoded(suffix: str, pixels: Pixels, *options: int) -> bytes:
    done, data = cv2.imencode(suffix, pixels, options)
    assert done
    return bytes(data.tobytes())


def tiff_ifd(orientation: int, rest: bytes = b"") -> bytes:
    """A little-endian TIFF header with one entry, Orientation (0x0112), then `rest` as IFD1."""
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    following = struct.pack("<I", 26 if rest else 0)
    return b"II*\0" + struct.pack("<IH", 8, 1) + entry + following + rest


def with_segment(jpeg: bytes, marker: int, payload: bytes) -> bytes:
    """A JPEG with one more segment right after its start."""
    segment = struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload
    return jpeg[:2] + segment + jpeg[2:]


def with_exif(jpeg: bytes, orientation: int, rest: bytes = b"") -> bytes:
    return with_segment(jpeg, 0xE1, b"Exif\0\0" + tiff_ifd(orientation, rest))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(depth: int, kind: int, row: bytes, *before: bytes) -> bytes:
    """A PNG of 2 x 1 pixels with the given bit depth and colour type; chunks before the data."""
    header = struct.pack(">IIBBBBB", 2, 1, depth, kind, 0, 0, 0)
    body = [chunk(b"IHDR", header), *before, chunk(b"IDAT", zlib.compress(b"\0" + row))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body) + chunk(b"IEND", b"")


def pixels_of(data: bytes) -> list[Any]:
    """The pixels of a decoded image of one row, as lists."""
    frame = decode_image(data)
    assert (frame.color, frame.pixels.dtype, frame.pixels.ndim) == ("bgr", np.uint8, 3)
    row: list[Any] = frame.pixels[0].tolist()
    return row


TURNS: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
    8: lambda p: np.rot90(p),
}


@pytest.mark.parametrize("orientation", TURNS)
def test_a_photo_is_turned_as_its_exif_says(orientation: int) -> None:
    jpeg = encoded(".jpg", quadrants(), cv2.IMWRITE_JPEG_QUALITY, 100)
    found = decode_image(with_exif(jpeg, orientation)).pixels
    wanted = TURNS[orientation](decode_image(jpeg).pixels)
    assert found.shape == wanted.shape
    assert np.array_equal(found, wanted)
    others = [turn for number, turn in TURNS.items() if number != orientation]
    assert not any(np.array_equal(found, turn(decode_image(jpeg).pixels)) for turn in others)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".ppm"])
def test_lossless_formats_are_exact(suffix: str) -> None:
    pixels = smooth()
    assert np.array_equal(decode_image(encoded(suffix, pixels)).pixels, pixels)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".pgm", ".jpg"])
def test_grey_images_have_three_equal_channels(suffix: str) -> None:
    gray = smooth()[:, :, 0]
    found = decode_image(encoded(suffix, gray)).pixels
    assert found.shape == (*gray.shape, 3)
    assert np.ptp(found, axis=2).max() == 0
    assert np.abs(found[:, :, 0].astype(int) - gray).max() <= (12 if suffix == ".jpg" else 0)


def test_sixteen_bits_are_scaled_down() -> None:
    gray = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    found = decode_image(encoded(".png", gray)).pixels
    assert np.abs(found[:, :, 0] - gray / 257).max() <= 1
    color = np.stack([gray, gray[::-1], gray.T], axis=-1)
    found = decode_image(encoded(".png", color)).pixels
    assert np.abs(found - color / 257).max() <= 1


PALETTE = chunk(b"PLTE", bytes([10, 20, 30, 200, 100, 50]))
WHITE = [255, 255, 255]


def test_transparency_is_laid_over_white() -> None:
    rgba = png(8, 6, bytes([10, 20, 30, 0, 200, 100, 50, 255]))
    assert pixels_of(rgba) == [WHITE, [50, 100, 200]]
    half = png(8, 6, bytes([0, 0, 0, 128, 200, 100, 50, 128]))
    assert pixels_of(half) == [[127, 127, 127], [152, 177, 227]]
    gray = png(8, 4, bytes([5, 0, 153, 255]))
    assert pixels_of(gray) == [WHITE, [153, 153, 153]]
    deep = png(16, 6, struct.pack(">8H", 9, 9, 9, 0, 51200, 25600, 12800, 65535))
    assert pixels_of(deep) == [WHITE, [50, 100, 200]]


@pytest.mark.parametrize("text", [b"", b"k\0" + b"long before it " * 1000])
def test_a_palette_with_transparency_is_laid_over_white(text: bytes) -> None:
    transparency = chunk(b"tRNS", bytes([0, 255]))
    image = png(8, 3, b"\0\1", chunk(b"tEXt", text), PALETTE, transparency)
    assert pixels_of(image) == [WHITE, [50, 100, 200]]
    assert pixels_of(png(8, 3, b"\0\1", PALETTE)) == [[30, 20, 10], [50, 100, 200]]


def test_a_transparent_webp_is_laid_over_white() -> None:
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[:, 4:] = (50, 100, 200, 255)
    found = decode_image(encoded(".webp", rgba, cv2.IMWRITE_WEBP_QUALITY, 101)).pixels
    assert found[0, 0].tolist() == WHITE
    assert found[0, 7].tolist() == [50, 100, 200]
    opaque = decode_image(encoded(".webp", smooth(), cv2.IMWRITE_WEBP_QUALITY, 101)).pixels
    assert np.array_equal(opaque, smooth())


FORMATS = {
    "jpeg": encoded(".jpg", smooth()),
    "progressive jpeg": encoded(".jpg", smooth(), cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "rotated jpeg": with_exif(encoded(".jpg", smooth()), 6),
    "png": encoded(".png", smooth()),
    "bmp": encoded(".bmp", smooth(20, 30)),
    "webp": encoded(".webp", smooth()),
    "tiff": encoded(".tif", smooth()),
}


@pytest.mark.parametrize("name", FORMATS)
def test_cut_off_anywhere_it_is_an_error_and_opencv_is_quiet(
    name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    data = FORMATS[name]
    assert decode_image(data).pixels.shape[2] == 3
    ends = {*range(0, len(data), 7), *range(len(data) - 30, len(data)), *range(40)}
    for end in ends:
        with pytest.raises(ImageError, match=r"^x\.jpg ") as caught:
            decode_image(data[:end], name="x.jpg")
        assert caught.value.fix
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err == ""


def test_a_large_photo_cut_off_is_not_a_half_grey_one(shared_data: Path) -> None:
    data = (shared_data / "images" / "cat_720p.jpg").read_bytes()
    assert decode_image(data).pixels.shape == (720, 1280, 3)
    for end in np.linspace(100, len(data) - 1, 40).astype(int):
        with pytest.raises(ImageError):
            decode_image(data[:end])


def test_a_thumbnail_does_not_stand_for_the_end_of_a_photo() -> None:
    """The thumbnail in a photo's EXIF has an end marker of its own."""
    thumbnail = encoded(".jpg", quadrants(8, 8))
    assert thumbnail.endswith(b"\xff\xd9")
    jpeg = encoded(".jpg", smooth())
    photo = with_exif(jpeg, 1, struct.pack("<HI", 0, 0) + thumbnail)
    assert np.array_equal(decode_image(photo).pixels, decode_image(jpeg).pixels)
    for cut in (1, 2, 100, len(jpeg) // 2):
        with pytest.raises(ImageError, match="truncated JPEG"):
            decode_image(photo[:-cut])


@pytest.mark.parametrize("tail", [b"\0", b"\xff\xd8\xff\xe0 a motion photo's film", b"\xff\xd9"])
def test_bytes_after_the_end_do_no_harm(tail: bytes) -> None:
    jpeg = encoded(".jpg", smooth())
    assert np.array_equal(decode_image(jpeg + tail).pixels, decode_image(jpeg).pixels)


def test_fill_bytes_before_a_marker_are_allowed() -> None:
    jpeg = encoded(".jpg", smooth())
    padded = jpeg[:2] + b"\xff\xff" + jpeg[2:]
    assert np.array_equal(decode_image(padded).pixels, decode_image(jpeg).pixels)


@pytest.mark.parametrize(
    "data",
    [
        b"hello, I am a text\n" * 50,
        b"\xff\xd8",
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8\xff\xe0\xff\xff",
        b"\xff\xd8garbage" * 30,
        b"BM",
        b"\x89PNG\r\n\x1a\n",
        b"P5 100000 100000 255\n",
        b"P6\n-1 -1\n255\n",
        b"RIFF\x10\0\0\0WEBPVP8X\0\0",
        b"II*\0\x08\0\0\0",
        png(8, 2, b"\0" * 6).replace(struct.pack(">II", 2, 1), struct.pack(">II", 60000, 60000)),
    ],
    ids=lambda data: repr(data[:12]),
)
def test_no_image_at_all(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"photo\.jpg") as caught:
        read_image(path)
    assert "copy it again" in caught.value.fix


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    with pytest.raises(ImageError, match=r"a\.jpg is empty"):
        read_image(tmp_path / "a.jpg")


@pytest.mark.campaign
def test_random_bytes_after_any_signature_are_only_ever_an_image_error(
    campaign: Callable[[str, int, int], int],
) -> None:
    random = np.random.default_rng(0)
    whole = list(FORMATS.values())
    for number in range(campaign("images", 300, 20_000)):
        data = bytearray(whole[number % len(whole)])
        for _ in range(random.integers(1, 8)):
            data[random.integers(len(data))] = random.integers(256)
        try:
            frame = decode_image(bytes(data))
        except ImageError:
            continue
        assert frame.pixels.dtype == np.uint8


NAMES = ["with space.png", "猫の写真.png", "é %20#?.PNG", os.fsdecode(b"\xff.png")]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_names_of_every_kind(tmp_path: Path, name: str) -> None:
    path = tmp_path / "目录 with space" / name
    pixels = smooth()
    write_image(path, Frame(pixels, "bgr"))
    frame = read_image(path)
    assert np.array_equal(frame.pixels, pixels)
    assert frame.source == str(path)
    assert (frame.height, frame.width) == (60, 80)
    assert list_images(path.parent) == [path]


def test_a_path_without_a_image(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="does not exist") as caught:
        read_image(tmp_path / "a.jpg")
    assert "image" in caught.value.fix
    with pytest.raises(FileError, match="is a folder, not an image"):
        read_image(tmp_path)
    with pytest.raises(FileError, match="cannot read"):
        read_image(tmp_path / ("x" * 300 + ".jpg"))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".bmp"])
def test_nothing_written_carries_exif(suffix: str, tmp_path: Path) -> None:
    xmp = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>"
    photo = with_segment(encoded(".jpg", quadrants()), 0xE1, xmp)
    frame = decode_image(with_exif(photo, 6, b"GPSLatitude 48.137"))
    write_image(tmp_path / f"out{suffix}", frame)
    data = (tmp_path / f"out{suffix}").read_bytes()
    for trace in (b"Exif", b"EXIF", b"eXIf", b"GPS", b"xmp", b"48.137"):
        assert trace not in data
    assert read_image(tmp_path / f"out{suffix}").pixels.shape == (48, 32, 3)


def test_writing_keeps_the_colours(tmp_path: Path) -> None:
    pixels = smooth()
    write_image(tmp_path / "bgr.png", Frame(pixels, "bgr"))
    write_image(tmp_path / "rgb.png", Frame(np.ascontiguousarray(pixels[:, :, ::-1]), "rgb"))
    write_image(tmp_path / "gray.png", Frame(pixels[:, :, 0], "gray"))
    write_image(tmp_path / "no suffix", Frame(pixels, "bgr"))
    found = [read_image(path).pixels for path in sorted(tmp_path.iterdir())]
    assert np.array_equal(found[0], pixels)
    assert np.array_equal(found[1], np.stack([pixels[:, :, 0]] * 3, axis=-1))
    assert np.array_equal(found[2], pixels)
    assert np.array_equal(found[3], pixels)


@pytest.mark.parametrize("name", ["a.xyz", "a.pdf", "a.pgm"])
def test_a_format_that_cannot_be_written(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="as an image") as caught:
        write_image(tmp_path / name, Frame(smooth(), "bgr"))
    assert ".png" in caught.value.fix
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="cannot write"):
        write_image(tmp_path / "file" / "a.png", Frame(smooth(), "bgr"))


def test_listing_a_folder(tmp_path: Path, write_images: Callable[..., list[Path]]) -> None:
    shown = write_images(tmp_path, 2)
    inner = write_images(tmp_path / "inner", 1)
    write_images(tmp_path / ".hidden", 1)
    for name in (".hidden.png", "notes.txt", "README"):
        (tmp_path / name).touch()
    (tmp_path / "folder.jpg").mkdir()
    upper = tmp_path / "9.JPEG"
    upper.touch()
    assert list_images(tmp_path) == [*shown, upper]
    assert list_images(tmp_path, recursive=True) == [*shown, upper, *inner]


@pytest.mark.parametrize("function", [list_images, list_classes])
def test_no_folder_to_list(function: Callable[[Path], object], tmp_path: Path) -> None:
    with pytest.raises(FileError, match="does not exist"):
        function(tmp_path / "x")
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="is not a folder"):
        function(tmp_path / "file")
    with pytest.raises(FileError, match="cannot read"):
        function(tmp_path / ("x" * 300))


def test_listing_classes(tmp_path: Path, write_images: Callable[..., list[Path]]) -> None:
    closed = write_images(tmp_path / "closed", 2)
    opened = write_images(tmp_path / "open" / "deeper", 1)
    (tmp_path / ".cache").mkdir()
    (tmp_path / "labels.txt").touch()
    assert list_classes(tmp_path) == {"closed": closed, "open": opened}
    (tmp_path / "ajar").mkdir()
    with pytest.raises(DataError, match=r"class folder without images: ajar in .*") as caught:
        list_classes(tmp_path)
    assert "or remove it" in caught.value.fix


def test_a_folder_without_classes(tmp_path: Path, write_images: Callable[..., Any]) -> None:
    write_images(tmp_path, 2)
    with pytest.raises(DataError, match="has no class folders") as caught:
        list_classes(tmp_path)
    assert str(tmp_path / "cat") in caught.value.fix
