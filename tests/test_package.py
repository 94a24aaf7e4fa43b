"""Contents of an installation: one package at the top, the analysis in it, and the data files that they read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
WEIGHTS = ROOT / "ptqsim/ptq/zoo/parameters"
# What setuptools would build, without building it.
OUTPUTS = r"""
import sys
import setuptools  # brings distutils
from distutils.core import run_setup
build = run_setup("setup.py", stop_after="commandline").get_command_obj("build_py")
build.editable_mode = sys.argv[1] == "editable"
build.ensure_finalized()
print(*sorted({path[len(build.build_lib) + 1 :] for path in build.get_outputs(include_bytecode=False)}), sep="\n")
"""


def outputs(kind: str) -> set[str]:
    """Files of a wheel, or the packages' files that an editable install knows of."""
    command = [sys.executable, "-W", "ignore", "-c", OUTPUTS, kind]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines())


def test_a_wheel_has_one_package_at_the_top_and_all_of_the_analysis_in_it() -> None:
    found = outputs("wheel")
    assert {name.partition("/")[0] for name in found} == {"ptqsim"}
    for package, place in (("ptqsim", ""), ("analysis", "ptqsim/")):
        sources = {place + str(path.relative_to(ROOT)) for path in (ROOT / package).rglob("*.py")}
        assert sources <= found
    assert "ptqsim/py.typed" in found
    assert {f"ptqsim/{path.relative_to(ROOT)}" for path in (ROOT / "analysis").rglob("*.js")} <= found
    weights = {name for name in found if name.endswith((".safetensors", ".safetensors.index.json"))}
    assert {Path(name).name for name in weights} == {path.name for path in WEIGHTS.iterdir()}


def test_no_file_of_weights_is_large() -> None:
    assert max(path.stat().st_size for path in WEIGHTS.iterdir()) <= 4 * 2**20


def test_an_editable_install_leaves_the_tree_as_it_is() -> None:
    assert not {name for name in outputs("editable") if name.startswith("ptqsim/analysis")}
