"""Costs of points, beside sums done by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ptqsim.rtl.synthesis import kept
from ptqsim.sweep.results.costs import costs, kept_gates, read_gates

PLAIN = {"layer": "fc1", "a_format": "uniform", "b_format": "uniform", "a_bits": 8, "b_bits": 8, "macs": 300,
         "shift_max": None}  # fmt: skip
TWIN = {**PLAIN, "layer": "fc2", "a_format": "twin_gelu", "macs": 100, "shift_max": 3}
CALIBRATION = {"weight_bits": 800, "layers": [PLAIN, TWIN]}
POINT = {"mode": "integer", "acc_bits": 24, "overflow": "wrap", "order": "sequential", "alignment": "product",
         "layer": None, "widths": None, "observed": None, "softmax_shift": None, "gelu_shift": None}  # fmt: skip


def counted(design: str, shift: int, width: int, overflow: str = "wrap", order: str = "sequential") -> float:
    """From the table itself, row by row."""
    (found,) = {
        float(row["transistors"])
        for row in kept.rows().values()
        if (row["design"], row["bits"], row["overflow"], row["order"], row["multiplier"])
        == (design, "8", overflow, order, "baugh_wooley")
        and int(row["acc_bits"]) == width
        and (design == "uniform" or int(row["shift"]) == shift)
    }
    return found


def test_widths_and_storage() -> None:
    found = costs(POINT, CALIBRATION, None)
    assert found == {"storage_bits": 800, "accumulator_bits": 24, "mean_accumulator_bits": 24,
                     "processing_element": None}  # fmt: skip
    of_layers = costs({**POINT, "acc_bits": None, "widths": {"fc1": 16, "fc2": 24}}, CALIBRATION, None)
    assert of_layers["accumulator_bits"] == 24
    assert of_layers["mean_accumulator_bits"] == (300 * 16 + 100 * 24) / 400
    exact = costs({**POINT, "acc_bits": None, "observed": {"fc1": 18, "fc2": 20}}, CALIBRATION, None)
    assert exact["accumulator_bits"] == 20


@pytest.mark.parametrize("other", [{"mode": "fake_quant"}, {"layer": "fc1"}])
def test_no_registers_no_width(other: dict[str, str]) -> None:
    found = costs({**POINT, **other}, CALIBRATION, kept_gates())
    assert found["accumulator_bits"] is None
    assert found["storage_bits"] == 800


def test_a_float_network_costs_nothing_we_know() -> None:
    assert set(costs({**POINT, "mode": "float"}, None, kept_gates()).values()) == {None}


def test_the_largest_processing_element_counts() -> None:
    found = costs(POINT, CALIBRATION, kept_gates())["processing_element"]
    assert found == max(counted("uniform", 0, 24), counted("gelu", 3, 24))
    alone = costs(POINT, {**CALIBRATION, "layers": [PLAIN]}, kept_gates())["processing_element"]
    assert alone == counted("uniform", 0, 24)


def test_a_shift_or_width_between_those_of_the_table() -> None:
    gates = kept_gates()
    assert gates.size(("gelu", 8, "saturate", "sequential"), 5, 24) == counted("gelu", 8, 24, "saturate")
    middle = gates.size(("uniform", 8, "wrap", "sequential"), 0, 23)
    assert middle == (counted("uniform", 0, 22) + counted("uniform", 0, 24)) / 2
    assert gates.size(("uniform", 8, "wrap", "sequential"), 0, 60) is None
    assert gates.size(("gelu", 8, "wrap", "sequential"), 14, 24) is None


def test_a_tree_is_counted_per_product() -> None:
    size = kept_gates().size(("uniform", 8, "wrap", "tree:16"), 0, 24)
    assert size == counted("uniform", 0, 24, order="tree:16") / 16


def test_gates_of_a_file(tmp_path: Path) -> None:
    point = {"design": "uniform", "bits": 8, "shift": 4, "acc_bits": 24, "overflow": "wrap", "order": "sequential",
             "multiplier": "baugh_wooley"}  # fmt: skip
    path = tmp_path / "gates.json"
    path.write_text(json.dumps({"points": [{"point": point, "gates": {"area": 812.5, "transistors": None}}]}))
    found = read_gates(path)
    assert found.unit == "area"
    assert found.size(("uniform", 8, "wrap", "sequential"), 0, 24) == 812.5
    path.write_text("{}")
    with pytest.raises(ValueError, match="holds no gate counts"):
        read_gates(path)
    with pytest.raises(FileNotFoundError, match="there are no gate counts"):
        read_gates(tmp_path / "none.json")
