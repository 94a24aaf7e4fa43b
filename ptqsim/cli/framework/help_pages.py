"""Help pages from docstrings: paragraphs flow, examples keep their lines."""

from __future__ import annotations

from inspect import cleandoc
from typing import Any, Final

_INDENT: Final = "    "


def page(docstring: str) -> str:
    """Turn a docstring into the Markdown that typer renders: each block that is indented into a fenced one.

    Markdown has indented blocks of its own, but typer takes the indent off a help page that begins with one after its
    first paragraph, and the examples in it would then flow into one paragraph.

    Parameters
    ----------
    docstring : str
        Indented blocks stand between blank lines.
    """
    paragraphs = cleandoc(docstring).split("\n\n")
    return "\n\n".join(f"```text\n{cleandoc(text)}\n```" if text.startswith(_INDENT) else text for text in paragraphs)


def set_pages(command: Any, docstring: str) -> None:
    """Set the help page of a command, and prepare those of its subcommands.

    Parameters
    ----------
    command : typer's command
    docstring : str
        Of the command; that of a subcommand is its function's.
    """
    command.help = page(docstring)
    for subcommand in getattr(command, "commands", {}).values():
        set_pages(subcommand, subcommand.help or "")
