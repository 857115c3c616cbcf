"""Boards and accelerators: every file loads, every number has a source, mistakes are named."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import edge_hardware
from edge_hardware import (
    boards_document,
    describe,
    list_accelerators,
    list_boards,
    load_accelerator,
    load_board,
)
from edge_sdk.energy.estimate import REFERENCE_MACS
from edge_sdk.errors import ConfigError


def test_the_boards_and_accelerators_of_the_contract_are_there() -> None:
    assert list_boards() == ["rpi3b-plus", "rpi4", "rpi5", "zero2w"]
    assert list_accelerators() == ["coral-pcie", "coral-usb"]


@pytest.mark.parametrize("name", list_boards())
def test_a_board_is_named_as_its_file_and_every_figure_has_a_source(name: str) -> None:
    board = load_board(name)
    assert board.name == name
    assert board.source
    published = (board.power.idle, board.power.active, board.power.stress)
    sourced = [*(watts for watts in published if watts), *board.cpu_figures]
    assert sourced
    assert all(figure.source.strip() for figure in sourced)
    assert all(figure.network in REFERENCE_MACS for figure in board.cpu_figures)


@pytest.mark.parametrize("name", list_accelerators())
def test_an_accelerator_is_named_as_its_file_and_every_fact_has_a_source(name: str) -> None:
    accelerator = load_accelerator(name)
    assert accelerator.name == name
    assert accelerator.facts
    assert all(fact.source.strip() and fact.unit for fact in accelerator.facts)


def test_only_the_pi_5_has_a_power_meter_and_only_the_zero_cannot_see_a_weak_supply() -> None:
    boards = {name: load_board(name) for name in list_boards()}
    assert [name for name, board in boards.items() if board.power_meter] == ["rpi5"]
    assert [n for n, board in boards.items() if not board.undervoltage_detector] == ["zero2w"]


def test_watts_are_those_of_the_raspberry_pi_documentation() -> None:
    power = load_board("rpi4").power
    assert power.stress is not None and power.idle is not None
    assert power.stress.watts == pytest.approx(1.2 * 5.1)
    assert power.idle.watts == pytest.approx(0.6 * 5.1)


def test_a_board_with_an_accelerator() -> None:
    board = load_board("rpi4+coral-usb")
    assert board.name == "rpi4+coral-usb"
    assert board.accelerator == load_accelerator("coral-usb")
    assert board.cpu_figures == load_board("rpi4").cpu_figures


@pytest.mark.parametrize(
    ("name", "message", "fix"),
    [
        ("rpi-4", "unknown board 'rpi-4'", 'did you mean "rpi4"?'),
        ("", "unknown board ''", "known: rpi3b-plus, rpi4, rpi5, zero2w"),
        ("../boards/rpi4", "unknown board", "rpi4"),
        ("rpi4+coral", "unknown accelerator 'coral'", 'did you mean "coral-usb"?'),
        ("rpi4+", "unknown accelerator ''", "known: coral-pcie, coral-usb"),
        ("rpi4+coral-pcie", "has no pcie connector", "usb"),
    ],
)
def test_an_unknown_name_is_an_error_with_the_nearest(name: str, message: str, fix: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_board(name)
    assert message in str(caught.value)
    assert fix in caught.value.fix


def test_the_document_holds_all_of_them_and_survives_json() -> None:
    document = json.loads(json.dumps(boards_document()))
    assert [board["name"] for board in document["boards"]] == list_boards()
    assert [one["name"] for one in document["accelerators"]] == list_accelerators()
    modelled = {board["name"]: board["energy_model_because"] for board in document["boards"]}
    assert [name for name, because in modelled.items() if because is None] == ["rpi4"]


def test_one_of_them_by_name() -> None:
    board, accelerator = boards_document("rpi5+coral-pcie"), boards_document("coral-usb")
    assert [one["name"] for one in board["boards"]] == ["rpi5+coral-pcie"]
    assert board["accelerators"] == []
    assert [one["name"] for one in accelerator["accelerators"]] == ["coral-usb"]
    assert accelerator["boards"] == []
    with pytest.raises(ConfigError, match="unknown board 'rpi6'"):
        boards_document("rpi6")


def test_the_text_shows_every_figure_with_its_source() -> None:
    text = describe(boards_document())
    board = load_board("rpi4")
    assert board.power.stress is not None
    assert f"6.12 W ({board.power.stress.source})" in text
    for figure in board.cpu_figures:
        assert f"{figure.network}, {figure.precision}: {figure.ms:g} ms ({figure.source})" in text
    for fact in load_accelerator("coral-pcie").facts:
        assert f"{fact.what}: {fact.value:g} {fact.unit} ({fact.source})" in text
    assert "rpi5: no published watts under stress and no published CPU figures" in text
    assert describe(boards_document("rpi4+coral-usb")).count("Coral USB Accelerator") > 1


def test_the_door_offers_what_it_names_and_nothing_else() -> None:
    assert sorted(edge_hardware.__all__) == dir(edge_hardware)
    assert all(callable(getattr(edge_hardware, name)) for name in edge_hardware.__all__)
    with pytest.raises(AttributeError, match="no attribute 'load'"):
        edge_hardware.load  # noqa: B018


def test_nothing_outside_the_standard_library_is_imported() -> None:
    script = (
        "import sys, edge_hardware; edge_hardware.describe(edge_hardware.boards_document());"
        "print(sorted({'numpy', 'cv2', 'click'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
