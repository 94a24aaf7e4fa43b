from __future__ import annotations

from analysis.demo import plan as plan_module
from analysis.demo.accuracy import Accuracy
from analysis.demo.exactness import Exactness
from analysis.demo.plan import plan
from analysis.demo.width_curve import WidthCurve
from analysis.papers.ptq4vit.fig5_metrics import Metrics


def sizes(workload, full):
    by_kind = {type(part): part for part in plan(workload, full=full)}
    return (
        by_kind[Accuracy].images,
        by_kind[Exactness].widths,
        by_kind[WidthCurve].images,
        by_kind[Metrics].images,
    )


def test_the_default_is_cut_down(workload):
    assert sizes(workload, full=False) == (2000, (8,), 256, 256)


def test_full_is_everything(workload):
    assert sizes(workload, full=True) == (10_000, (8, 6, 4), 2000, 1024)


def test_a_small_data_set_is_used_whole(workload):
    class Few:
        def __len__(self):
            return 100

    workload.__dict__["validation"] = Few()
    assert sizes(workload, full=False) == (100, (8,), 100, 100)


def test_every_exactness_check_has_ten_thousand_outputs(workload):
    checks = [part for part in plan(workload, full=False) if isinstance(part, Exactness)]
    assert checks
    assert all(part.outputs >= 10_000 for part in checks)


def test_a_large_network_does_less(workload, monkeypatch):
    assert plan_module.sizes(workload, full=False) == plan_module.QUICK
    monkeypatch.setattr(plan_module, "_SMALL", sum(p.numel() for p in workload.network.parameters()) - 1)
    assert plan_module.sizes(workload, full=False) == plan_module.LARGE
    assert plan_module.sizes(workload, full=True).accuracy == 10_000
    assert sizes(workload, full=False) == (132, (8,), 44, 44)
