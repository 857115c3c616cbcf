"""The energy of an inference: measured by a meter and, never mixed with it, the MODEL estimate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_sdk.report.markup import (
    ABSENT,
    escape,
    joules,
    mapping,
    number,
    plain,
    significant,
    table,
)
from edge_sdk.report.page import Section, note


def energy_section(run: Mapping[str, Any]) -> Section:
    """Measured energy and, apart from it, the MODEL estimate."""
    measured, model = mapping(run.get("energy_measured")), mapping(run.get("energy_model"))
    body = _measured(measured) if measured else note("Not measured: no power meter was attached.")
    if model:
        body += _model(model)
    elif because := run.get("energy_model_because"):
        body += note(f"No MODEL estimate: {because}.")
    return Section("energy", "Energy", body)


def _measured(energy: Mapping[str, Any]) -> str:
    replayed = bool(energy.get("replayed"))
    tag = '<span class="tag replayed">REPLAYED</span> ' if replayed else ""
    watts = number(energy.get("mean_watts"))
    figures = {
        "energy of one inference": _interval(energy, "joules_per_inference", "uncertainty"),
        "net of idle": _interval(energy, "net_joules_per_inference", "net_uncertainty"),
        "mean power": ABSENT if watts is None else f"{significant(watts)} W",
    }
    rows = [(name, tag + value) for name, value in figures.items()]
    about = ("meter", "class", "boundary", "samples")
    rows += [(name, plain(energy[name])) for name in about if name in energy]
    rows.append(("valid", _validity(energy)))
    return table("Replayed from a recording" if replayed else "Measured", (), rows)


def _interval(energy: Mapping[str, Any], value: str, spread: str) -> str:
    if number(energy.get(value)) is None:
        return ABSENT
    return f"{joules(energy[value])} ± {joules(energy.get(spread))} (95 %)"


def _validity(part: Mapping[str, Any]) -> str:
    if part.get("valid") is True:
        return "yes"
    return f"no: {escape(part.get('invalid_because') or 'no reason was recorded')}"


def _model(model: Mapping[str, Any]) -> str:
    """The block of a MODEL: the word stands before every figure. Its interval is the range of
    published figures, so no coverage is claimed for it.
    """
    tag = '<span class="tag">MODEL</span>'
    words = "Computed from published figures; nothing was measured on this board."
    return (
        '<aside class="model" aria-label="MODEL estimate">'
        f"<h3>MODEL estimate for {escape(model.get('board'))}</h3>"
        f'<p class="value">{tag} {joules(model.get("joules_per_inference"))} per inference</p>'
        f'<p class="value">{tag} interval ± {joules(model.get("uncertainty"))}</p>'
        f"<p>{tag} formula: {escape(model.get('formula'))}</p>"
        f"<p>{tag} source: {escape(model.get('source'))}</p>{note(words)}</aside>"
    )
