"""Make one HTML file to explore: of a study that **ptqsim sweep** has run, or of a folder of figures and tables.

    ptqsim report studies/digits_widths.sqlite -o report.html
    ptqsim report figures/ -o figures.html

The file needs no network. In it, points can be filtered by axis, sorted and chosen with mouse or keyboard; of the
chosen one the whole configuration is shown, and the command that computes it again.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from ptqsim.cli.framework import places
from ptqsim.cli.framework.output import JsonOption, Output
from ptqsim.common import files

from .gallery import gallery_page


def report(
    source: Annotated[
        Path, typer.Argument(parser=places.path, help="Results of a study (.sqlite), or a folder of figures.")
    ],
    output: Annotated[Path, typer.Option(*places.OUT, parser=places.path, help="HTML file to write.")] = Path(
        "report.html"
    ),
    as_json: JsonOption = False,
) -> None:
    from .page import study_page
    from .study_data import study_data

    out = Output(as_json)
    places.check_file("-o", output, [source])
    start = time.perf_counter()
    command = " ".join(["ptqsim", *sys.argv[1:]])
    text = gallery_page(source, command) if source.is_dir() else study_page(study_data(source), command)
    files.write(output, text)
    size = output.stat().st_size
    out.note(f"{output} written, {size / 1e6:.1f} MB, in {time.perf_counter() - start:.1f} s")
    out.result({"report": output, "bytes": size})
