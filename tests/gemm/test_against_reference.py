"""Kernels against the reference, result and statistics, on random small datapaths."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

import ptqsim as pq
from tests.gemm.cases import Case, cases

seen = {"cases": 0, "overflowing": 0}


def outcome(case: Case) -> tuple[object, pq.OverflowStatistics | None, pq.AccumulatorOverflowError | None]:
    try:
        return *pq.reference.matmul_with_statistics(*case), None
    except pq.AccumulatorOverflowError as error:
        return None, None, error


@settings(max_examples=600)
@given(cases())
def test_matmul_equals_the_reference(case: Case) -> None:
    seen["cases"] += 1
    exact = pq.reference.matmul(case.a, case.b, None)
    expected, statistics, trapped = outcome(case)
    if trapped is not None:
        seen["overflowing"] += 1
        for counting in (True, False):
            with pytest.raises(pq.AccumulatorOverflowError) as caught:
                pq.matmul(*case, statistics=counting)
            assert caught.value.args == trapped.args
        return
    assert statistics is not None
    seen["overflowing"] += statistics.outputs > 0
    counted, plain = pq.matmul(*case), pq.matmul(*case, statistics=False)
    assert counted.acc.tolist() == plain.acc.tolist() == expected
    assert counted.exact == plain.exact == (expected == exact)
    assert counted.overflow == statistics
    assert plain.overflow is None
    assert counted.certificate.certified + statistics.outputs <= counted.certificate.outputs


def test_at_least_one_case_in_five_overflowed() -> None:
    if not seen["cases"]:
        pytest.skip("the cases were not run")
    assert seen["overflowing"] * 5 >= seen["cases"]
