"""Make the papers' tables, ours beside theirs: in the terminal, as Markdown and LaTeX, the data behind them as CSV.

Options of a table are given as *-O name=value*, for instance *-O images=500*; *-O help* lists them. Whatever is
finished is kept: after an interruption the same command goes on where it stopped.
"""

from __future__ import annotations

from pathlib import Path

from ptqsim.cli.options import CheckpointOption, DataOption, PretrainedOption, SeedOption
from ptqsim.cli.output import JsonOption

from ..framework.registry import LONG, TABLES
from .run import (
    ImagesOption,
    Inputs,
    JobsOption,
    ListOption,
    ModelsOption,
    NamesArgument,
    OptionOption,
    OutOption,
    run,
)


def tables(
    names: NamesArgument = None,
    out: OutOption = Path("figures"),
    listed: ListOption = False,
    model: ModelsOption = None,
    pretrained: PretrainedOption = False,
    checkpoint: CheckpointOption = None,
    data: DataOption = "digits",
    images: ImagesOption = 32,
    seed: SeedOption = 0,
    option: OptionOption = None,
    jobs: JobsOption = 1,
    as_json: JsonOption = False,
) -> None:
    source = Inputs(out, model or [], data, pretrained, checkpoint, images, seed)
    wanted = names or [name for name in TABLES if listed or name not in LONG]
    run(wanted, source, option or [], listed=listed, jobs=jobs, as_json=as_json)
