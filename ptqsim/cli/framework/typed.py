"""Options of the running command that the user typed, as opposed to those that have their defaults."""

from __future__ import annotations

from collections.abc import Iterable

import typer


def typed(context: typer.Context, names: Iterable[str]) -> list[str]:
    """Options that were typed, among the parameters of the running command of these names.

    Parameters
    ----------
    context : typer.Context
        Of the running command.
    names : iterable of str
        Names of parameters of the function; those that the command does not have are left out.

    Returns
    -------
    list of str
        As on the command line, with both forms of a flag that has two.
    """
    parameters = {parameter.name: parameter for parameter in context.command.params}
    return [
        "/".join([parameters[name].opts[0], *parameters[name].secondary_opts[:1]])
        for name in names
        if name in parameters and (source := context.get_parameter_source(name)) and source.name == "COMMANDLINE"
    ]
