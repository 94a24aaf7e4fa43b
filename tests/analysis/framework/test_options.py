"""Options on the command line, set in the fields that they name."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import pytest

from analysis.framework.artifact import Artifact
from analysis.framework.options import with_options


@cache
def made_class() -> type[Artifact]:
    @dataclass(frozen=True)
    class Made(Artifact):
        bits: int = 8
        share: float = 0.5
        deep: bool = False
        block: int | None = None
        method: str = "ptq4vit"
        widths: tuple[int, ...] = (8, 6)
        operands: tuple[str, ...] = ()
        name: ClassVar[str] = "test.made"
        title: ClassVar[str] = "Made"

        def compute(self, workload):
            raise NotImplementedError

        def files(self, data):
            raise NotImplementedError

    return Made


@cache
def other() -> type[Artifact]:
    @dataclass(frozen=True)
    class Other(made_class()):
        images: int = 10
        name: ClassVar[str] = "test.other"

    return Other


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("bits=6", 6),
        ("share=1", 1.0),
        ("deep=true", True),
        ("block=3", 3),
        ("block=none", None),
        ("method=base_ptq", "base_ptq"),
        ("widths=4", (4,)),
        ("widths=4,3", (4, 3)),
        ("widths=[4, 3]", (4, 3)),
        ("operands=blocks.0.mlp.fc1:a, blocks.1.attn.qkv:b", ("blocks.0.mlp.fc1:a", "blocks.1.attn.qkv:b")),
        ("operands=", ()),
    ],
)
def test_values(text, value):
    (made,) = with_options([made_class()()], [text])
    found = getattr(made, text.partition("=")[0])
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("bitz=6", r"unknown option of test\.made 'bitz'.*Did you mean 'bits'"),
        ("bits=6.5", "option 'bits' is '6.5'; legal is an integer"),
        ("bits=true", "legal is an integer"),
        ("deep=1", "legal is true or false"),
        ("widths=4,x", "legal is one or more values with commas between them, each an integer"),
        ("bits", "legal is name=value"),
        ("bits=", "option 'bits' has no value; legal is bits=value: leave it out for its default"),
    ],
)
def test_what_is_refused(text, line):
    with pytest.raises(ValueError, match=line):
        with_options([made_class()()], [text])


def test_an_option_reaches_those_that_have_it():
    first, second = with_options([made_class()(), other()()], ["images=5", "bits=3"])
    assert (first.bits, second.bits, second.images) == (3, 3, 5)
    with pytest.raises(ValueError, match=r"unknown option of these figures and tables 'imagez'.*'images'"):
        with_options([made_class()(), other()()], ["imagez=5"])
