"""The cocotb example runs."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import ptqsim as pq
from ptqsim import rtl
from ptqsim.rtl import Unit
from tests.rtl.needs import REQUIRED, need

RUN = """
import os, sys
from pathlib import Path
from cocotb_tools.runner import get_runner
folder, bench = Path(sys.argv[1]), Path(sys.argv[2])
runner = get_runner("icarus")
sources = [folder / name for name in (folder / "files.f").read_text().split()]
runner.build(sources=sources, hdl_toplevel="ptqsim_dot", build_dir=folder / "build", build_args=["-g2012"])
results = runner.test(hdl_toplevel="ptqsim_dot", test_module=bench.stem, build_dir=folder / "build",
                      extra_env={"DESIGN": str(folder), "PYTHONPATH": os.pathsep.join([str(bench.parent), *sys.path])})
from cocotb_tools.check_results import get_results
assert get_results(results) == (1, 0), get_results(results)
"""


def test_the_example(tmp_path: Path) -> None:
    need("iverilog")
    if find_spec("cocotb") is None:
        (pytest.fail if REQUIRED else pytest.skip)(
            "cocotb is not installed and is needed by this test: pip install cocotb"
        )
    unit = Unit(pq.TwinSoftmax(6, 4), pq.Uniform(6, 1.0), pq.Accumulator(16, "saturate"), depth=9)
    rtl.write(rtl.tops(unit), tmp_path, {"unit": unit.to_dict()})
    bench = Path(__file__).with_name("cocotb_bench.py")
    command = [sys.executable, "-c", RUN, str(tmp_path), str(bench)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
