"""Help pages keep every example on a line of its own, in a terminal of 80 columns."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from importlib import import_module
from inspect import cleandoc
from typing import Any

import pytest

from ptqsim.cli import __main__
from ptqsim.cli.framework import app, commands, places


def pages() -> Iterator[tuple[tuple[str, ...], str]]:
    """Every command and subcommand with its docstring."""
    for name, target in commands.discover().items():
        try:
            command: Any = commands.load(name, target)
        except ModuleNotFoundError:  # an extra that is not installed
            continue
        yield (name,), import_module(target.partition(":")[0]).__doc__ or ""
        for sub, subcommand in getattr(command, "commands", {}).items():
            yield (name, sub), subcommand.callback.__doc__ or ""


PAGES = dict(pages())


def examples(docstring: str) -> list[str]:
    return [line.strip() for line in cleandoc(docstring).split("\n") if line.startswith("    ")]


@pytest.mark.parametrize("command", PAGES, ids=" ".join)
def test_every_example_has_its_line(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert app.main([*command, "--help"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.split("\n")]
    for example in examples(PAGES[command]):
        assert example in lines


def test_there_are_examples() -> None:
    assert "ptqsim sweep study.yaml --scheduler tcp://node1:8786" in examples(PAGES["sweep",])
    assert "ptqsim rtl generate --shift 4 --depth 384 --columns 8 -o gelu" in examples(PAGES["rtl",])
    assert any(line.startswith("ptqsim rtl simulate m.safetensors") for line in examples(PAGES["rtl", "simulate"]))


def options() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every command, subcommands included, with the names of each of its options."""
    for name, target in commands.discover().items():
        try:
            command: Any = commands.load(name, target)
        except ModuleNotFoundError:
            continue
        for one in (command, *getattr(command, "commands", {}).values()):
            yield from ((f"{name} {one.name}", tuple(option.opts)) for option in one.params)


def test_the_place_of_a_result_has_the_same_names_everywhere() -> None:
    found = {command: names for command, names in options() if set(names) & set(places.OUT)}
    assert len(found) > 3
    assert {command: names for command, names in found.items() if not set(places.OUT) <= set(names)} == {}


@pytest.mark.parametrize("command", PAGES, ids=" ".join)
def test_every_page_can_be_written_in_ascii(command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """As under LC_ALL=C without Python's UTF-8 mode."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    monkeypatch.setattr(sys, "argv", ["ptqsim", *command, "--help"])
    monkeypatch.setenv("COLUMNS", "80")
    assert __main__.main() == 0
    sys.stdout.flush()
    assert b"--help" in written.getvalue()
