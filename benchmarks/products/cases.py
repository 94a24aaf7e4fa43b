"""The measured cases: datapaths, their operands, and the target of each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fnmatch import fnmatch
from typing import Final, Literal

import ptqsim as pq
from benchmarks.products.draws import FLOATS, OperandKind, Operands
from benchmarks.products.shapes import Shape
from benchmarks.products.targets import (
    CERTIFIED_OF_EXACT,
    CHANNELS_OF_EXACT,
    CORRECTED_OF_EXACT,
    REALS_OF_CHANNELS,
    SPLIT_OF_SEQUENTIAL,
    TREE_OF_SEQUENTIAL,
    Kind,
    of_saturation,
)

Way = Literal["matmul", "packed", "width", "prefixes", "real64", "real32"]


@dataclass(frozen=True, slots=True)
class Case:
    """One datapath.

    Parameters
    ----------
    name : str
        What it is called in the report.
    kind : Kind
        What its target follows from.
    accumulator : pq.Accumulator
        The datapath; of as many bits as the exact prefix sums need if `bits_as_needed`.
    statistics : bool, optional
        Whether events are counted.
    way : Way, optional
        "matmul"; "packed": from packed codes of the left operand; "width": with the observed width; "prefixes": the
        pass that finds the observed width, alone; "real64" and "real32": the reals of a product that is there.
    channels : bool, optional
        Whether the right operand has a scale per column.
    of, of_target : str or None and float, optional
        Name of another case of the same operands, and the share of its speed that is wanted.
    """

    name: str
    kind: Kind
    accumulator: pq.Accumulator
    statistics: bool = False
    way: Way = "matmul"
    channels: bool = False
    bits_as_needed: bool = False
    of: str | None = None
    of_target: float | None = None

    def with_bits(self, bits: int) -> Case:
        """The same with an accumulator of some bits, if they are as needed."""
        return replace(self, accumulator=replace(self.accumulator, bits=bits)) if self.bits_as_needed else self


@dataclass(frozen=True, slots=True)
class Group:
    """Cases with the same operands, and what else is measured with these: other libraries, and two threads."""

    operands: Operands
    cases: tuple[Case, ...]
    peers: bool = False
    threads: tuple[Case, ...] = ()
    float_peers: bool = False

    def weight(self, rounds: int) -> int:
        """Roughly what measuring takes, in steps of the progress bar."""
        return len(self.cases) * (1 + rounds) + (self.peers or self.float_peers) * rounds + len(self.threads) * rounds

    def chosen(self, shape: Shape, pattern: str) -> Group:
        """The cases whose "shape/operands/case" matches a pattern, and those that they are compared with."""

        def wanted(name: str) -> bool:
            text = f"{shape.name}/{self.operands}/{name}".lower()
            return not pattern or fnmatch(text, f"*{pattern.lower()}*")

        names = {case.name for case in self.cases if wanted(case.name)}
        names |= {case.of for case in self.cases if case.name in names and case.of}
        return replace(
            self,
            cases=tuple(case for case in self.cases if case.name in names),
            peers=self.peers and wanted("peers"),
            float_peers=self.float_peers and wanted("peers"),
            threads=tuple(case for case in self.threads if wanted(f"2 threads {case.name}")),
        )


def _exact(kind: Kind, packed: bool = False) -> tuple[Case, ...]:
    cases = [Case("exact 40" if kind == "twin" else "exact 32", kind, pq.Accumulator(40 if kind == "twin" else 32))]
    cases.append(Case("wrap 20", kind, pq.Accumulator(20)))
    if packed:
        cases += [replace(case, name=f"{case.name} packed", way="packed") for case in cases]
    return tuple(cases)


def _saturating(bits: int) -> Case:
    return Case(f"saturate {bits}", of_saturation(bits), pq.Accumulator(bits, "saturate"))


def _counted(bits: int) -> Case:
    kind: Kind = "counted" if bits <= 31 else "relative"
    return Case(f"saturate {bits} counted", kind, pq.Accumulator(bits, "saturate"), statistics=True)


def _in_groups(bits: int, inner_bits: int) -> tuple[Case, ...]:
    of = f"saturate {bits}"
    split, tree = pq.Split(64, inner_bits), pq.Tree(16)
    return (
        Case(f"split 64:{inner_bits} sat. {bits}", "relative", pq.Accumulator(bits, "saturate", split), of=of,
             of_target=SPLIT_OF_SEQUENTIAL),
        Case(f"tree 16 sat. {bits}", "relative", pq.Accumulator(bits, "saturate", tree), of=of,
             of_target=TREE_OF_SEQUENTIAL),
    )  # fmt: skip


_U8, _U12, _U16 = OperandKind("uniform", 8), OperandKind("uniform", 12), OperandKind("uniform", 16)
_SOFTMAX, _GELU, _SOFTMAX16 = OperandKind("softmax", 8, 6), OperandKind("gelu", 8, 4), OperandKind("softmax", 16, 6)
_UNSIGNED = OperandKind("unsigned", 8)
_SOFTMAX6, _GELU6, _U6 = OperandKind("softmax", 6, 6), OperandKind("gelu", 6, 4), OperandKind("uniform", 6)

_ASYMMETRIC = OperandKind("asymmetric", 8)
_FLOATS = tuple(OperandKind(name, fmt.bits) for name, fmt in FLOATS.items())

_CERTIFIED: Final = Case(
    "saturate 21 certified", "relative", pq.Accumulator(21, "saturate"), of="exact 32", of_target=CERTIFIED_OF_EXACT
)
_CORRECTED: Final = Case(
    "corrected 32", "relative", pq.Accumulator(32, zero_point="correction"), of="exact 32", of_target=CORRECTED_OF_EXACT
)
_CHANNELS: Final = (
    Case("channels 32", "relative", pq.Accumulator(32), channels=True, of="exact 32",
         of_target=CHANNELS_OF_EXACT),
    Case("float64", "relative", pq.Accumulator(32), way="real64"),
    Case("float64 channels", "relative", pq.Accumulator(32), way="real64", channels=True, of="float64",
         of_target=REALS_OF_CHANNELS),
    Case("float32", "relative", pq.Accumulator(32), way="real32"),
    Case("float32 channels", "relative", pq.Accumulator(32), way="real32", channels=True, of="float32"),
)  # fmt: skip
_UNCERTIFIED: Final = (
    Case("trap", "trap", pq.Accumulator(32, "trap"), bits_as_needed=True),
    Case("counted, no events", "counted", pq.Accumulator(32, "saturate"), statistics=True, bits_as_needed=True),
    Case("observed width", "width", pq.Accumulator(32), statistics=True, way="width"),
    Case("prefix pass alone", "width", pq.Accumulator(32), statistics=True, way="prefixes"),
)

GROUPS: Final = (
    Group(
        Operands(_U8, _U8),
        (*_exact("exact"), *_CHANNELS, _CERTIFIED, _saturating(12), _saturating(14), *_UNCERTIFIED),
        peers=True,
        threads=(*_exact("exact")[:1], _saturating(14)),
    ),
    Group(Operands(_U8, _U8, 16), (_saturating(16), _counted(16), *_in_groups(16, 16))),
    Group(Operands(_U8, _U8, 20), (_saturating(20), _counted(20), *_in_groups(20, 18))),
    Group(
        Operands(_UNSIGNED, _U8),
        (*_exact("exact"), Case("pairs 16 wrap 32", "pairs", pq.profiles.AVX2_U8S8.accumulator)),
    ),
    Group(Operands(_ASYMMETRIC, _U8), (*_exact("exact"), _CORRECTED)),
    Group(Operands(_ASYMMETRIC, _U8, 16), (_saturating(16),)),
    Group(Operands(_SOFTMAX, _U8), _exact("twin", packed=True)),
    Group(Operands(_GELU, _U8), _exact("twin", packed=True)),
    Group(Operands(_SOFTMAX6, _U6), _exact("twin", packed=True)),
    Group(Operands(_GELU6, _U6), _exact("twin", packed=True)),
    Group(Operands(_GELU, _U8, 24), (_saturating(24), _counted(24), *_in_groups(24, 22))),
    Group(Operands(_U12, _U12, 24), (_saturating(24),)),
    Group(Operands(_SOFTMAX, _U8, 28), (_saturating(28), _counted(28))),
    Group(Operands(_U12, _U12, 28), (_saturating(28),)),
    Group(Operands(_U12, _U12, 31), (_saturating(31),)),
    *(
        Group(Operands(each, each), (Case("exact 60", "float", pq.Accumulator(60)),), float_peers=each.kind == "e4m3")
        for each in _FLOATS
    ),
    Group(Operands(_FLOATS[0], _FLOATS[0], 44), (_saturating(44),)),
    Group(Operands(_SOFTMAX16, _U16, 40), (_saturating(40), _counted(40))),
)


def groups_for(shape: Shape, pattern: str = "") -> list[Group]:
    """The groups that make sense in a shape and have a case that is asked for."""
    chosen = [group.chosen(shape, pattern) for group in GROUPS if group.operands.possible(shape)]
    return [group for group in chosen if group.cases or group.peers or group.threads or group.float_peers]
