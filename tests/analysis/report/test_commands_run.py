"""The command that the report shows for a point recomputes that point."""

from __future__ import annotations

import csv
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

STUDY = """\
name: small
data: digits
axes:
  model: vit_digits
  method: base_ptq
  w_bits: 6
  a_bits: 6
  mode: [fake_quant, integer, integer_only]
  acc_bits: 13
  overflow: saturate
  softmax: {kind: softmax, entries: 16}
  layer_norm: {precision: 12}
  evaluation_images: 100
"""


def typed(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A command line, run where the reader would."""
    words = shlex.split(command)
    assert words[0] == "ptqsim"
    done = subprocess.run(
        [sys.executable, "-m", "ptqsim.cli", *words[1:]],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(Path.cwd())}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.slow
def test_the_commands_of_the_page_give_the_point_again(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    typed("ptqsim sweep study.yaml --jobs 1", tmp_path)
    typed("ptqsim sweep study.yaml --csv points.csv", tmp_path)
    typed("ptqsim report study.sqlite -o report.html", tmp_path)
    page = browser.new_page()
    page.goto((tmp_path / "report.html").as_uri())
    page.wait_for_function("document.body.dataset.ready !== undefined", timeout=60_000)
    with (tmp_path / "points.csv").open() as file:
        top1 = {row["key"]: float(row["top1"]) for row in csv.DictReader(file)}
    page.locator("#points").focus()
    for _ in tuple(top1):
        page.keyboard.press("ArrowDown")
        again, fresh = page.locator("#chosen code").all_inner_texts()
        assert "every logit as stored" in typed(again, tmp_path).stderr
        calibrate, run = fresh.split(" && ")
        typed(calibrate, tmp_path)
        found = json.loads(typed(f"{run} --json", tmp_path).stdout)
        assert found.get("simulated", found)["top1"] == pytest.approx(top1.pop(shlex.split(again)[-1]))
    assert not top1
    page.close()
