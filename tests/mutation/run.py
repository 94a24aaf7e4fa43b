"""Mutation testing of the step, the requantizer and the references of integer units: `make mutants`.

mutmut changes one thing at a time in the modules that setup.cfg names and runs the tests that it names on each of
these mutants. One that no test notices has to be in equivalent.toml, with the reason why none can; any other is an
error, and so is an entry there that is not needed. All of it happens in a copy, build/mutation.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
COPY = ROOT / "build" / "mutation"
NOT_COPIED = shutil.ignore_patterns("__pycache__", "bundled")


class Mutant(NamedTuple):
    """One change: the function, its line, and what became of the line."""

    function: str
    line: str
    mutated: str


def main() -> int:
    copy_project()
    mutmut = Path(sys.executable).with_name("mutmut")
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run([mutmut, "run"], cwd=COPY, env=environment, stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        subprocess.run([mutmut, "run"], cwd=COPY, env=environment, check=False)  # once more, to be read
        return done.returncode
    listed = subprocess.run([mutmut, "results", "--all", "true"], cwd=COPY, capture_output=True, text=True, check=True)
    outcomes = dict(re.findall(r"^\s+(\S+): (.+)$", listed.stdout, re.MULTILINE))
    alive = [described(name) for name, outcome in outcomes.items() if outcome not in ("killed", "timeout")]
    return report(Counter(outcomes.values()), alive)


def copy_project() -> None:
    """The package, its tests of the datapath and of units, and the configuration."""
    shutil.rmtree(COPY, ignore_errors=True)
    shutil.copytree(ROOT / "ptqsim", COPY / "ptqsim", ignore=NOT_COPIED)
    for folder in ("datapath", "units"):
        shutil.copytree(ROOT / "tests" / folder, COPY / "tests" / folder, ignore=NOT_COPIED)
    shutil.copy(ROOT / "tests" / "conftest.py", COPY / "tests")
    shutil.copy(ROOT / "pyproject.toml", COPY)
    shutil.copy(HERE / "setup.cfg", COPY)


def described(name: str) -> Mutant:
    """The change that a mutant's name stands for."""
    from mutmut.mutation.diff_apply import find_mutant, get_diff_for_mutant

    os.chdir(COPY)
    changes = get_diff_for_mutant(name, path=find_mutant(name).path).splitlines()[2:]
    before = " ".join(line[1:].strip() for line in changes if line.startswith("-"))
    after = " ".join(line[1:].strip() for line in changes if line.startswith("+"))
    function = re.sub(r"__mutmut_\d+$", "", name).replace("xǁ", "").replace("ǁ", ".").replace(".x_", ".")
    return Mutant(function, before, after)


def equivalent() -> dict[Mutant, str]:
    """The mutants that no test can notice, and why."""
    entries = tomllib.loads((HERE / "equivalent.toml").read_text(encoding="utf-8"))["equivalent"]
    return {
        Mutant(entry["function"], entry["line"], mutated): entry["why"]
        for entry in entries
        for mutated in entry["mutants"]
    }


def without_effect(mutant: Mutant) -> bool:
    """True where a reference of units differs in ``strict`` of a zip of equal lengths, or in a type for mypy."""
    if not mutant.function.startswith("ptqsim.units.reference."):
        return False

    def plain(line: str) -> str:
        return re.sub(r"cast\((None|\"[^\"]*\"), ", "cast(", re.sub(r",\s*(strict=\w+)?\s*\)", ")", line))

    return plain(mutant.line) == plain(mutant.mutated)


def report(counts: Counter[str], alive: list[Mutant]) -> int:
    """Say how many died, and name every other one that is not excused; the exit status."""
    excused = equivalent()
    survivors = [mutant for mutant in alive if mutant not in excused and not without_effect(mutant)]
    not_needed = [mutant for mutant in excused if mutant not in alive]
    for mutant in survivors:
        sys.stdout.write(f"SURVIVED {mutant.function}\n  - {mutant.line}\n  + {mutant.mutated}\n")
    for mutant in not_needed:
        sys.stdout.write(f"NOT EQUIVALENT, OR GONE {mutant.function}\n  - {mutant.line}\n  + {mutant.mutated}\n")
    sys.stdout.write(
        f"{counts.total()} mutants: {counts['killed']} killed, {counts['timeout']} never ended, "
        f"{len(alive) - len(survivors)} equivalent (tests/mutation/equivalent.toml), {len(survivors)} survived\n"
    )
    return 1 if survivors or not_needed else 0


if __name__ == "__main__":
    sys.exit(main())
