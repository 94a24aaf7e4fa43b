from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar

import matplotlib as mpl
import pytest
from PIL import Image

from analysis.framework import style
from analysis.framework.artifact import IllustratedTable
from analysis.framework.frame import Frame
from analysis.framework.registry import ARTIFACTS, artifact
from analysis.framework.store import ArtifactStore
from analysis.framework.text_table import Printed


@cache
def parabola() -> type[IllustratedTable]:
    @dataclass(frozen=True)
    class Parabola(IllustratedTable):
        points: int = 5
        name: ClassVar[str] = "test.parabola"
        title: ClassVar[str] = "A parabola"
        needs_model: ClassVar[bool] = False

        def compute(self, workload):
            return {"curve": Frame.of({"x": range(self.points), "y": [x * x for x in range(self.points)]})}

        def printed(self, data):
            rows = tuple((str(x), str(y)) for x, y in data["curve"].rows)
            return Printed(self.title, ("x", "y"), rows)

        def render(self, data):
            figure, (axes,) = style.panels(height=1.5)
            axes.plot(data["curve"].values("x"), data["curve"].values("y"))
            return figure

    return Parabola


def written(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_everything_is_written(workload, tmp_path):
    parabola()().make(workload, tmp_path / "out")
    suffixes = {name.removeprefix("test.parabola.") for name in written(tmp_path / "out")}
    assert suffixes == {"pdf", "svg", "png", "md", "tex", "curve.csv", "json"}


def test_two_runs_write_the_same_bytes(workload, tmp_path):
    for run in ("one", "two"):
        parabola()().make(replace(workload, store=ArtifactStore(tmp_path / run / "cache")), tmp_path / run / "out")
    assert written(tmp_path / "one" / "out") == written(tmp_path / "two" / "out")


def test_provenance_names_the_data(workload, tmp_path):
    parabola()(points=3).make(workload, tmp_path)
    about = json.loads((tmp_path / "test.parabola.json").read_text())
    csv = (tmp_path / "test.parabola.curve.csv").read_bytes()
    assert csv == b"x,y\n0,0\n1,1\n2,4\n"
    assert about["data"]["curve"] == {"columns": ["x", "y"], "rows": 3, "sha256": hashlib.sha256(csv).hexdigest()}
    assert about["made_from"]["options"] == {"points": 3}
    assert {"python", "numpy", "matplotlib", "torch"} <= set(about["versions"])


def test_options_decide_what_is_taken_from_the_store(workload, tmp_path):
    assert len(parabola()(points=3).make(workload, tmp_path)["curve"]) == 3
    assert len(parabola()(points=4).make(workload, tmp_path)["curve"]) == 4


def test_the_key_of_a_model_changes_with_its_weights_and_seed(workload):
    assert workload.key() != replace(workload, seed=1).key()
    other = replace(workload)
    other.network.head.bias.data[0] += 1
    try:
        assert other.key() != workload.key()
    finally:
        other.network.head.bias.data[0] -= 1


def test_a_picture_has_the_size_it_is_printed_at():
    with style.applied():
        png = parabola()().files(parabola()().compute(None))[".png"]
    assert Image.open(io.BytesIO(png)).size == (round(3.3 * 300), round(1.5 * 300))


def test_the_style_does_not_leak():
    before = dict(mpl.rcParams)
    with style.applied():
        assert mpl.rcParams["font.size"] == 8
    assert dict(mpl.rcParams) == before


def test_lines_that_share_a_picture_differ_by_more_than_color():
    for group in (
        ("task_loss", "mse", "cosine", "pearson", "hessian"),
        ("float", "base_ptq", "ptq4vit"),
        ("wrap", "saturate"),
        ("datatype", "weight_aware", "row_stochastic", "calibrated"),
    ):
        looks = [style.LOOKS[name] for name in group]
        assert len({look.marker for look in looks}) == len(looks)
        assert len({look.color for look in looks}) == len(looks)


@pytest.mark.parametrize("name", [*ARTIFACTS])
def test_registered_names_are_the_artifacts_own(name):
    assert artifact(name).name == name


def test_an_unknown_artifact_suggests_the_nearest():
    with pytest.raises(ValueError, match=r"near are 'ptq4vit\.fig5'"):
        artifact("ptq4vit.fig6")
