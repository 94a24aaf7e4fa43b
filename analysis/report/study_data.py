"""The data of a study's report: points with their costs, layers with their widths, and the answers to questions."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

from ptqsim.sweep.results import costs
from ptqsim.sweep.results.store import ResultStore
from ptqsim.sweep.study.definition import AXES, resolved
from ptqsim.sweep.study.reading import parse_study

from .columns import packed_rows

_LABELS: Final = {
    "top1": "top-1 / %",
    "cross_entropy": "cross-entropy / nats",
    "kl": "KL(float || quantized) / nats",
    "kl_standard_error": "standard error of the KL / nats",
    "agreement": "same prediction as float / %",
    "top1_lost": "top-1 lost to exact / points",
    "accumulator_bits": "widest accumulator / bits",
    "mean_accumulator_bits": "mean accumulator / bits",
    "storage_bits": "storage of weights / bits",
    "acc_bits": "P / bits",
    "seconds": "time / s",
}
_FIRST: Final = (
    "model", "method", "w_bits", "a_bits", "mode", "acc_bits", "overflow", "layer", "top1", "top1_lost",
    "processing_element", "accumulator_bits", "mean_accumulator_bits", "storage_bits", "kl", "cross_entropy",
)  # fmt: skip
_POINT_COLUMNS: Final = (*dict.fromkeys((*_FIRST, *AXES)), "widths", "status", "seconds")
_ANSWER_COLUMNS: Final = (
    "model", "method", "w_bits", "a_bits", "scope", "layer", "overflow", "acc_bits", "widths", "top1", "exact_top1",
    "top1_below", "within", "order", "alignment", "seed", "softmax_shift", "gelu_shift", "evaluation_images", "status",
)  # fmt: skip
_DATAPATH: Final = ("mode", "acc_bits", "overflow", "order", "alignment", "softmax_shift", "gelu_shift", "layer")
_UNITS: Final = {
    "residual_bits": 16,
    "residual_scale": "free",
    "softmax": "softmax",
    "gelu": "gelu",
    "layer_norm": "layer_norm",
}
INTEGERS: Final = ("integer", "integer_only")
_MOST_CALIBRATIONS: Final = 300
_LETTERS: Final = {"uniform": "uniform", "twin_softmax": "twin softmax", "twin_gelu": "twin GELU"}


def study_data(path: Path) -> dict[str, Any]:
    """The data of a report of a store of results.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such store, or nothing in it.
    """
    with ResultStore(path, write=False) as store:
        name, text = store.study()
        rows = list(store.rows("points"))
        calibrations = {row["key"]: row for row in store.rows("calibrations", planned=False)}
        answers = list(store.rows("answers"))
        counts = store.counts()
    if not rows:
        raise ValueError(f"{path} has no points yet: run ptqsim sweep first")
    about = _study(text, path)
    gates = about.pop("gates")
    _complete(rows, calibrations, gates)
    labels = {column: _LABELS.get(column, column.replace("_", " ")) for column in _POINT_COLUMNS}
    labels["processing_element"] = f"processing element / {gates.unit}"
    errors = {number: str(row["error"]) for number, row in enumerate(rows) if row["error"]}
    return {
        "name": name,
        "store_file": str(path),
        "counts": counts,
        "axes": [*AXES, "layer", "status"],
        "points": packed_rows(labels, rows, errors),
        "calibrations": _layers(rows, calibrations, answers),
        "answers": _answers(answers),
        **about,
    }


def _study(text: str, path: Path) -> dict[str, Any]:
    """Models and methods of the study file, for commands; empty if the file cannot be read any more."""
    about: dict[str, Any] = {"models": {}, "methods": {}, "description": "", "gates": costs.kept_gates()}
    about["study_file"] = str(path.with_suffix(".yaml"))
    try:
        study = parse_study(text)
    except ValueError:
        return about
    about["description"] = study.description
    for model in study.axes.model:
        about["models"][model.called] = model.model_dump() | {"data": model.data or study.data}
    for method in study.axes.method:
        about["methods"][method.called] = method.model_dump()
    if study.gates is not None and (file := resolved(study.gates, path.parent)).is_file():
        about["gates"] = costs.read_gates(file)
    return about


def _complete(rows: list[dict[str, Any]], calibrations: dict[str, dict[str, Any]], gates: costs.GateTable) -> None:
    """Add costs, and what is lost to the exact accumulator; make cells of one value each."""
    exact = {_comparable(row): row["top1"] for row in rows if row["mode"] in INTEGERS and _is_exact(row)}
    known: dict[tuple[object, ...], dict[str, Any]] = {}
    for row in rows:
        # costs are the same for all that differ in the images only, and there may be a hundred thousand rows
        alike = (row["calibration"], *(row[name] for name in _DATAPATH), str(row["widths"]), str(row["observed"]))
        if alike not in known:
            known[alike] = costs.costs(row, calibrations.get(row["calibration"]), gates)
        row |= known[alike]
        before = exact.get(_comparable(row))
        row["top1_lost"] = None if before is None or row["top1"] is None else before - row["top1"]
    for row in rows:
        row["widths"] = None if row["widths"] is None else json.dumps(row["widths"])


def _is_exact(row: dict[str, Any]) -> bool:
    return row["acc_bits"] is None and row["widths"] is None


def _comparable(row: dict[str, Any]) -> tuple[object, ...]:
    return row["calibration"], row["mode"], row["softmax_shift"], row["gelu_shift"], row["evaluation_images"]


def _layers(
    rows: list[dict[str, Any]], calibrations: dict[str, dict[str, Any]], answers: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """For every calibration its layers: formats, widths by theorem, as needed on images, and by questions."""
    observed: dict[str, dict[str, int]] = defaultdict(dict)
    for row in rows:
        for layer, bits in (row["observed"] or {}).items():
            seen = observed[row["calibration"]]
            seen[layer] = max(bits, seen.get(layer, 0))
    searched: dict[str, dict[str, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
    for answer in answers:
        if answer["scope"] == "layer" and answer["layer"] is not None:
            title = f"{answer['overflow']}, {answer['order']}, within {answer['within']:g}"
            searched[answer["calibration"]][title][answer["layer"]] = answer["acc_bits"]
    found = []
    wanted = [key for key in dict.fromkeys(row["calibration"] for row in rows) if key in calibrations]
    # those with answers first
    for key in sorted(wanted, key=lambda key: key not in searched)[:_MOST_CALIBRATIONS]:
        calibration, searches = calibrations[key], searched[key]
        layers = [
            _layer(layer)
            | {"observed": observed[key].get(layer["layer"])}
            | {title: widths.get(layer["layer"]) for title, widths in searches.items()}
            for layer in calibration["layers"] or ()
        ]
        seed = f", seed {calibration['seed']}" if calibration["seed"] else ""
        layout = ", per channel" if calibration["w_granularity"] == "channel" else ""
        layout += ", asymmetric" if calibration["a_symmetric"] == 0 else ""
        layout += _units(calibration)
        widths = f"W{calibration['w_bits']}A{calibration['a_bits']}"
        label = f"{calibration['model']}, {calibration['method']} {widths}{layout}{seed}"
        found.append({"label": label, "layers": layers, "searches": list(searches)})
    return found


def _units(calibration: dict[str, Any]) -> str:
    """The integer-only network of a calibration, as it differs from the default one."""
    if calibration["residual_bits"] is None:
        return ""
    other = {name: calibration[name] for name, default in _UNITS.items() if calibration[name] not in (None, default)}
    given = [f"{name.replace('_', ' ')} {value}" for name, value in other.items()]
    return ", ".join([", integer-only", *given])


def _layer(facts: dict[str, Any]) -> dict[str, Any]:
    formats = (f"{_LETTERS.get(facts[f'{side}_format'], '')} {facts[f'{side}_bits']}" for side in "ab")
    low, high = facts.get("shift_min"), facts.get("shift_max")
    shift = None if low is None else str(low) if low == high else f"{low}–{high}"
    bounds = {name: facts.get(name) for name in ("datatype", "weight_aware", "row_stochastic")}
    return {"layer": facts["layer"], "kind": facts["kind"], "format": " × ".join(formats), "shift": shift, **bounds}


def _answers(answers: list[dict[str, Any]]) -> dict[str, Any]:
    """Answers for networks first; columns that are empty everywhere are left out."""
    ordered = sorted(answers, key=lambda answer: answer["layer"] is not None)
    cells = [[_answer_cell(answer[name]) for name in _ANSWER_COLUMNS] for answer in ordered]
    kept = [at for at in range(len(_ANSWER_COLUMNS)) if any(row[at] is not None for row in cells)]
    return {"columns": [_ANSWER_COLUMNS[at] for at in kept], "rows": [[row[at] for at in kept] for row in cells]}


def _answer_cell(value: object) -> object:
    if isinstance(value, dict):
        return f"{min(value.values())}–{max(value.values())}"
    return round(value, 4) if isinstance(value, float) else value
