"""The verdict on one architecture, and the file that verdicts are kept in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ptqsim.common import files, strict_json


@dataclass(frozen=True)
class Verdict:
    """The verdict on one architecture.

    Attributes
    ----------
    family : str
        The module of timm that defines it.
    parameters : int
    run : str
        The architecture that was run for it: itself, or the smallest of those that differ from it in size only.
    products : int
        Matrix products of that one in a forward pass, counted by a watch that knows nothing of operations; where it
        works, each is an operation.
    refused : str
        Empty where it works, else why it doesn't.
    """

    family: str
    parameters: int = 0
    run: str = ""
    products: int = 0
    refused: str = ""

    @property
    def works(self) -> bool:
        return not self.refused


def installed() -> str:
    """The version of timm that is installed."""
    return version("timm")


def write_verdicts(path: Path, verdicts: Mapping[str, Verdict]) -> None:
    """Keep verdicts, with the version of timm that they are on."""
    entries = {name: asdict(verdict) for name, verdict in sorted(verdicts.items())}
    lines = ",\n".join(f"    {json.dumps(name)}: {strict_json.dumps(entry)}" for name, entry in entries.items())
    text = f'{{\n  "timm": "{installed()}",\n  "verdicts": {{\n{lines}\n  }}\n}}\n'
    files.write(path, text.encode())


def read_verdicts(path: Path) -> tuple[str, dict[str, Verdict]]:
    """The version of timm, and the verdicts; a file of anything else is a ValueError."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return str(found["timm"]), {name: Verdict(**entry) for name, entry in found["verdicts"].items()}
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{path} holds no verdicts ({error}): make them with ptqsim models --check -o {path}"
        ) from None
