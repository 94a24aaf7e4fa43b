"""Commands are found, listed and run, and imported only when run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from ptqsim.cli.framework import app, commands

BLOCK = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
from ptqsim.cli.__main__ import main
sys.exit(main())
"""


def run_without(blocked: set[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, in which some packages are not installed."""
    code = BLOCK.format(blocked=blocked)
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("ptqsim 0.")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_every_command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(arguments) == 0
    text = capsys.readouterr().out
    for name in commands.discover():
        assert f" {name} " in text
    assert "not available" not in text


@pytest.mark.models
@pytest.mark.parametrize("name", commands.discover())
def test_every_command_has_its_own_help_page(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    status = app.main([name, "--help"])
    told = capsys.readouterr()
    if find_spec("torch") is None and status != 0:
        assert "needs the extra [" in told.err
        return
    page = " ".join(told.out.split())
    assert status == 0
    assert f"Usage: ptqsim {name}" in page
    assert commands.summary(commands.discover()[name])[:40] in page


@pytest.mark.parametrize("arguments", [["--help"], ["bounds", "--depth", "64"]])
def test_light_commands_import_no_heavy_package(arguments: list[str]) -> None:
    code = (
        "import sys; from ptqsim.cli.framework.app import main; status = main(sys.argv[1:]);"
        "heavy = {'torch', 'timm', 'sklearn', 'matplotlib'} & set(sys.modules);"
        "sys.exit(status or ' '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("package", "who"), [("typer", "ptqsim"), ("rich", "ptqsim bounds")])
def test_without_the_extra_cli_it_says_what_to_install(package: str, who: str) -> None:
    done = run_without({package}, "bounds", "--depth", "64")
    assert done.returncode == 2
    assert done.stdout == ""
    wanted = f"{who}: needs the extra [cli] ({package} is not installed): pip install 'ptqsim[cli]'"
    assert done.stderr.splitlines() == [wanted]


def test_help_works_without_the_extra_of_a_command() -> None:
    assert run_without({"torch", "timm", "sklearn", "matplotlib"}, "--help").returncode == 0


def test_unknown_command_suggests_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["bonds"]) == 2
    told = capsys.readouterr()
    assert told.err.splitlines() == ["ptqsim: No such command 'bonds'. Did you mean 'bounds'? See 'ptqsim --help'."]
    assert told.out == ""


def test_entry_points_add_commands_and_replace_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "addition.py").write_text(
        '"""An added command."""\n\ndef add(number: int) -> None:\n    print(number + 1)\n', encoding="utf-8"
    )
    metadata = tmp_path / "addition-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: addition\nVersion: 1.0\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text(
        "[ptqsim.commands]\nincrement = addition:add\nbounds = addition:add\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    found = commands.discover()
    assert found["increment"] == "addition:add"
    assert found["bounds"] == commands.BUILT_IN["bounds"]
    assert list(found)[: len(commands.BUILT_IN)] == list(commands.BUILT_IN)

    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "ptqsim.cli"]
    done = subprocess.run([*command, "increment", "41"], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == 42
    listed = subprocess.run([*command, "--help"], env=environment, capture_output=True, text=True, check=True)
    assert "An added command." in listed.stdout


def test_broken_entry_point_does_not_break_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(commands.BUILT_IN, "gone", "no_such_package.gone:gone")
    assert app.main(["--help"]) == 0
    assert "not available" in capsys.readouterr().out


def test_commands_above_the_cli_are_found_in_the_repository_and_in_a_wheel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert commands.discover().items() >= commands.ABOVE.items()
    monkeypatch.setattr(commands, "entry_points", lambda group: ())
    monkeypatch.setattr(commands, "find_spec", lambda name: name in ("ptqsim.analysis", "benchmarks"))
    monkeypatch.setattr(commands, "_REPOSITORY", tmp_path)  # as in site-packages, where benchmarks is somebody else's
    found = commands.discover()
    assert found["figures"] == "ptqsim.analysis.commands.figures:figures"
    assert "bench" not in found
