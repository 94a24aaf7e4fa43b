"""Every failure is one line on stderr and an exit status; bugs keep their traceback."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable

import pytest

from ptqsim.cli.framework import app

AddCommand = Callable[[str], None]

WRONG_INPUT = {
    r"raise ValueError('bits must be 2..16,\n  got 40')": "bits must be 2..16, got 40",
    "open('/no/such/folder')": "No such file or directory: /no/such/folder",
    "open('/')": "Is a directory: /",
    "raise FileNotFoundError('no checkpoint x.safetensors')": "no checkpoint x.safetensors",
    "raise ModuleNotFoundError('no torch', name='torch.nn')": (
        "needs the extra [models] (torch is not installed): pip install 'ptqsim[models]'"
    ),
}


def command(body: str) -> str:
    return f"def trial(bits: int = 8) -> None:\n    {body}\n"


@pytest.mark.parametrize(("body", "line"), WRONG_INPUT.items())
def test_wrong_input(body: str, line: str, add_command: AddCommand, capsys: pytest.CaptureFixture[str]) -> None:
    add_command(command(body))
    assert app.main(["trial"]) == 2
    told = capsys.readouterr()
    assert told.err == f"ptqsim trial: {line}\n"
    assert told.out == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trial", "--bist", "8"], ["No such option: --bist", "--bits", "See 'ptqsim trial --help'."]),
        (["trial", "--bits", "eight"], ["Invalid value for '--bits'"]),
        (["trial", "eight"], ["unexpected extra argument"]),
        (["--debugging"], ["No such option: --debugging", "See 'ptqsim --help'."]),
    ],
)
def test_wrong_usage(
    arguments: list[str], words: list[str], add_command: AddCommand, capsys: pytest.CaptureFixture[str]
) -> None:
    add_command(command("pass"))
    assert app.main(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert all(word in lines[0] for word in words), lines[0]


def test_trapped_overflow_is_a_finding(add_command: AddCommand, capsys: pytest.CaptureFixture[str]) -> None:
    add_command(command("import ptqsim; raise ptqsim.AccumulatorOverflowError((0, 1), 5, 'accumulator', 8, 9)"))
    assert app.main(["trial"]) == 1
    assert capsys.readouterr().err.startswith("ptqsim trial: output element (0, 1) overflows the 8-bit")


def test_a_tool_that_fails_is_no_wrong_input(add_command: AddCommand, capsys: pytest.CaptureFixture[str]) -> None:
    add_command(command("from ptqsim.errors import ToolError; raise ToolError('yosys failed with status 2: no room')"))
    assert app.main(["trial"]) == 1
    assert capsys.readouterr().err == "ptqsim trial: yosys failed with status 2: no room\n"


@pytest.mark.filterwarnings("default")
def test_a_warning_is_one_line(
    add_command: AddCommand, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warnings, "showwarning", _shown)
    add_command(command("import warnings; warnings.warn('nothing can be kept in ~', RuntimeWarning, stacklevel=1)"))
    before = warnings.formatwarning
    assert app.main(["trial"]) == 0
    assert capsys.readouterr().err == "ptqsim trial: warning: nothing can be kept in ~\n"
    assert warnings.formatwarning is before


def _shown(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object) -> None:
    """As Python's own, in whose place pytest has one that records."""
    sys.stderr.write(warnings.formatwarning(message, category, filename, lineno))


def test_full_disk_is_no_wrong_input(add_command: AddCommand, capsys: pytest.CaptureFixture[str]) -> None:
    add_command(command("import errno, os; raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), 'out.csv')"))
    assert app.main(["trial"]) == 1
    assert capsys.readouterr().err == "ptqsim trial: No space left on device: out.csv\n"


def test_a_bug_keeps_its_traceback(add_command: AddCommand) -> None:
    add_command(command("raise KeyError('ours')"))
    with pytest.raises(KeyError, match="ours"):
        app.main(["trial"])


@pytest.mark.parametrize("status", [0, 1])
def test_status_of_a_check(status: int, add_command: AddCommand, capsys: pytest.CaptureFixture[str]) -> None:
    add_command(command(f"import typer; raise typer.Exit({status})"))
    assert app.main(["trial"]) == status
    assert capsys.readouterr().err == ""


def test_debug_option_and_variable_show_the_traceback(
    add_command: AddCommand, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add_command(command("raise ValueError('wrong')"))
    assert app.main(["--debug", "trial"]) == 2
    by_option = capsys.readouterr().err
    monkeypatch.setenv("PTQSIM_TRACEBACK", "1")
    assert app.main(["trial"]) == 2
    by_variable = capsys.readouterr().err
    for text in (by_option, by_variable):
        assert "trial_module.py" in text
        assert text.endswith("ptqsim trial: wrong\n")


def test_interrupt(add_command: AddCommand, capsys: pytest.CaptureFixture[str]) -> None:
    add_command(command("raise KeyboardInterrupt"))
    assert app.main(["trial"]) == 130
    assert capsys.readouterr().err == "ptqsim trial: interrupted\n"


def test_interrupt_says_what_was_kept(add_command: AddCommand, capsys: pytest.CaptureFixture[str]) -> None:
    add_command(
        "from ptqsim.cli.framework.errors import on_interrupt\n"
        "def trial() -> None:\n"
        "    step = 0\n"
        "    with on_interrupt(lambda: f'kept state.safetensors; the same command resumes from step {step}'):\n"
        "        step = 7\n"
        "        raise KeyboardInterrupt\n"
    )
    assert app.main(["trial"]) == 130
    line = "interrupted; kept state.safetensors; the same command resumes from step 7"
    assert capsys.readouterr().err == f"ptqsim trial: {line}\n"


def test_interrupt_while_importing_a_command(add_command: AddCommand, capsys: pytest.CaptureFixture[str]) -> None:
    add_command("raise KeyboardInterrupt\ndef trial() -> None: ...\n")
    assert app.main(["trial"]) == 130
    assert capsys.readouterr().err == "ptqsim trial: interrupted\n"


def test_a_long_list_of_legal_names_is_cut_to_the_nearest() -> None:
    from ptqsim.errors import unknown_name

    names = [f"layer_{i}" for i in range(1000)]
    text = str(unknown_name("layer", "layer_77x", names))
    assert "1000 names are legal" in text
    assert "'layer_77'" in text
    assert len(text) < 200
