"""MODEL figures: the rule by hand, the width of the interval, and every case without a value."""

from __future__ import annotations

import dataclasses

import pytest

from edge_hardware import list_boards, load_board
from edge_sdk.energy.estimate import (
    MIN_UNCERTAINTY,
    Accelerator,
    Board,
    CpuFigure,
    Power,
    Watts,
    energy_model,
    latency_model,
)

V1, V2, SMALL = "MobileNet v1 1.0 224", "MobileNet v2 1.0 224", "MobileNet v3 Small 1.0 224"
STICK = Accelerator("stick", "Stick", "usb")


def a_board(*figures: tuple[str, float], stress: float | None = 6.0) -> Board:
    return Board(
        name="board",
        title="A board",
        soc="SoC",
        cpu="CPU",
        cores=4,
        clock_mhz=1000,
        ram_mb=(1024,),
        interfaces=("usb",),
        power_meter="",
        undervoltage_detector=True,
        source="its maker",
        power=Power(stress=None if stress is None else Watts(stress, "stress test")),
        cpu_figures=tuple(CpuFigure(n, "float32", ms, f"benchmark of {n}") for n, ms in figures),
    )


def test_one_figure_is_the_rule_itself_with_the_least_interval() -> None:
    board = a_board((V2, 30.0))  # 300e6 MACs in 30 ms: 1e10 MACs/s
    energy, latency = energy_model(board, 2_000_000), latency_model(board, 2_000_000)
    assert latency.value == pytest.approx(0.2)
    assert energy.value == pytest.approx(6.0 * 2_000_000 / 1e10)
    assert energy.uncertainty == pytest.approx(MIN_UNCERTAINTY * energy.value)
    assert latency.uncertainty == pytest.approx(0.06)


def test_figures_that_scatter_widen_the_interval_to_the_furthest() -> None:
    board = a_board((V1, 56.9), (V2, 30.0), (SMALL, 14.0))  # 1e10, 1e10 and 4e9 MACs/s
    energy = energy_model(board, 1_000_000)
    assert energy.value == pytest.approx(6.0e-4)
    assert energy.uncertainty == pytest.approx(1.5 * 6.0e-4)
    assert "as far as they scatter" in energy.formula


def test_the_json_form_is_that_of_the_contract() -> None:
    document = energy_model(a_board((V2, 30.0)), 2_000_000).as_dict()
    assert document is not None
    assert list(document) == [
        "label",
        "board",
        "joules_per_inference",
        "uncertainty",
        "formula",
        "source",
    ]
    assert document["label"] == "MODEL"
    assert document["board"] == "board"
    assert "6 W under stress × 2,000,000 MACs / 10.00e9 MACs/s" in document["formula"]
    for source in ("stress test", f"benchmark of {V2}", "Sandler et al. 2018"):
        assert source in document["source"]


@pytest.mark.parametrize(
    ("board", "macs", "because"),
    [
        (a_board((V2, 30.0), stress=None), 1, "board: no published watts under stress"),
        (a_board(), 1, "board: no published CPU figures"),
        (
            a_board(stress=None),
            1,
            "board: no published watts under stress and no published CPU figures",
        ),
        (a_board((V2, 30.0)), 0, "the model's MACs are not known"),
        (
            dataclasses.replace(a_board((V2, 30.0)), accelerator=STICK),
            1,
            "board: the published figures are the CPU's, not Stick's",
        ),
    ],
)
def test_without_its_figures_there_is_a_reason_instead(
    board: Board, macs: int, because: str
) -> None:
    energy = energy_model(board, macs)
    assert energy.as_dict() is None
    assert energy.because == because


def test_latency_needs_no_watts() -> None:
    assert latency_model(a_board((V2, 30.0), stress=None), 300_000_000).value == pytest.approx(30.0)
    assert latency_model(a_board(), 1).because == "board: no published CPU figures"
    assert latency_model(a_board(), 1).as_dict() is None


def test_of_our_boards_only_the_pi_4_has_both() -> None:
    known = [n for n in list_boards() if energy_model(load_board(n), 1_000_000).value is not None]
    assert known == ["rpi4"]


def test_the_interval_of_the_pi_4_holds_every_figure_it_is_published_with() -> None:
    board = load_board("rpi4")
    macs = 300_000_000
    model = latency_model(board, macs)
    assert model.value is not None and model.uncertainty is not None
    assert model.uncertainty >= MIN_UNCERTAINTY * model.value
    for figure in board.cpu_figures:
        found = 1000 * macs * figure.seconds_per_mac
        assert abs(found - model.value) <= model.uncertainty * (1 + 1e-9)


def test_energy_of_mobilenet_v2_on_the_pi_4_is_that_of_its_published_time() -> None:
    energy = energy_model(load_board("rpi4"), 300_000_000)
    assert energy.value is not None and energy.uncertainty is not None
    assert abs(energy.value - 6.12 * 0.044) <= 0.3 * energy.value  # float32: 44 ms
    assert abs(energy.value - 6.12 * 0.017) <= energy.uncertainty  # int8: 17 ms
