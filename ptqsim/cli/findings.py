"""Findings of a check of golden vectors as a table and as data, and the exit status that follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from ptqsim.cli.framework.output import Output
from ptqsim.golden.checking import Finding


def show_findings(out: Output, directory: Path, findings: Sequence[Finding], summary: Mapping[str, Any]) -> None:
    """Show what is wrong with a directory, give it as data with a summary, and exit with 1 if anything is."""
    if findings:
        columns = ["file", "line", "mismatch"]
        out.table(columns, [(finding.file, finding.line, finding.what) for finding in findings])
    out.note(f"{directory}: {len(findings)} mismatches")
    out.result({"directory": directory, "ok": not findings, "mismatches": findings, **summary})
    if findings:
        raise typer.Exit(1)
