"""Zero points in studies: subtracted where calibration chose it."""

from __future__ import annotations

import pytest

import ptqsim as pq
from ptqsim import ptq
from ptqsim.sweep.study.point import Datapath, plain
from ptqsim.sweep.work import measure


@pytest.fixture(scope="module")
def asymmetric() -> ptq.QuantizedModel:
    model = ptq.load_model("vit_digits")
    images = ptq.sample_images(ptq.load_data("digits", model, split="calibration"), 4, seed=0)
    return ptq.calibrate(
        model, images, method="base_ptq", w_bits=6, a_bits=6, w_granularity="channel", a_symmetric=False
    )


@pytest.mark.parametrize("acc_bits", [None, 20])
def test_a_datapath_of_a_study_subtracts_zero_points_where_calibration_chose_it(
    acc_bits: int | None, asymmetric: ptq.QuantizedModel
) -> None:
    datapath = Datapath("integer", acc_bits, "saturate", "tree:8", "operand")
    measure._set(asymmetric, plain(datapath))
    expected = {name: str(asymmetric.accumulators[name].zero_point) for name in asymmetric.datapaths}
    assert expected == {name: str(place) for name, place in asymmetric.datapaths.items()}
    assert set(expected.values()) == {"operand", "correction"}
    for name, accumulator in asymmetric.accumulators.items():
        assert accumulator.alignment is pq.Alignment.OPERAND, name
        if acc_bits is not None:
            assert (accumulator.bits, str(accumulator.overflow)) == (20, "saturate"), name
            assert accumulator.order == pq.Tree(8), name
