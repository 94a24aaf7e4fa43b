"""Draw the papers' figures from a model, and those that hardware needs: PDF, SVG and PNG, the data behind them as CSV.

Options of a figure are given as *-O name=value*, for instance *-O bits=6*; *-O help* lists them. Whatever is finished
is kept: after an interruption the same command goes on where it stopped.
"""

from __future__ import annotations

from pathlib import Path

from ptqsim.cli.options import CheckpointOption, DataOption, PretrainedOption, SeedOption
from ptqsim.cli.output import JsonOption

from ..framework.registry import FIGURES
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


def figures(
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
    run(names or list(FIGURES), source, option or [], listed=listed, jobs=jobs, as_json=as_json)
