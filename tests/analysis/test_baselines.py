"""Every picture beside a kept one, from kept data: nothing that is drawn changes unnoticed.

The comparison is of brightness at half the size, so that another version of matplotlib or FreeType passes.  After a
change that is meant, ``PTQSIM_DRAW=1 pytest tests/analysis/test_baselines.py`` draws the kept pictures anew; look at
them before they are committed.
"""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from analysis.demo.accuracy import Accuracy
from analysis.demo.width_curve import WidthCurve
from analysis.framework import style
from analysis.framework.frame import Frame
from analysis.framework.registry import FIGURES, artifact

FOLDER = Path(__file__).parent / "baselines"
DEMO = {"demo.accuracy": Accuracy(), "demo.width_curve": WidthCurve()}


def kept(name):
    """The artifact with the options that its kept data was made with, and that data."""
    document = json.loads((FOLDER / f"{name}.json").read_text())
    options = {key: tuple(value) if isinstance(value, list) else value for key, value in document["options"].items()}
    frames = document["frames"].items()
    return replace(DEMO.get(name) or artifact(name), **options), {
        frame: Frame(tuple(cells["columns"]), tuple(map(tuple, cells["rows"]))) for frame, cells in frames
    }


def drawn(name):
    made, data = kept(name)
    with style.applied(), mpl.rc_context({"savefig.dpi": 100}):
        buffer = io.BytesIO()
        made.render(data).savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def brightness(png):
    image = Image.open(io.BytesIO(png)).convert("L")
    return np.asarray(image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX), np.float64)


@pytest.mark.parametrize("name", [*FIGURES, *DEMO])
def test_looks_as_it_did(name):
    path, found = FOLDER / f"{name}.png", drawn(name)
    if os.environ.get("PTQSIM_DRAW"):
        path.write_bytes(found)
    now, then = brightness(found), brightness(path.read_bytes())
    assert now.shape == then.shape
    assert np.sqrt(np.mean((now - then) ** 2)) < 6, "of 255; see the docstring of this module"


def test_the_comparison_sees_a_difference():
    """A curve moved by a little, in the smallest of the pictures."""
    made, data = kept("ptq4vit.fig2")
    shown = data["distribution"]
    share = shown.names.index("share")
    rows = tuple((*row[:share], row[share] ** 0.5, *row[share + 1 :]) for row in shown.rows)
    with style.applied(), mpl.rc_context({"savefig.dpi": 100}):
        buffer = io.BytesIO()
        made.render({**data, "distribution": Frame(shown.names, rows)}).savefig(buffer, format="png")
    then = brightness((FOLDER / "ptq4vit.fig2.png").read_bytes())
    assert np.sqrt(np.mean((brightness(buffer.getvalue()) - then) ** 2)) > 12
