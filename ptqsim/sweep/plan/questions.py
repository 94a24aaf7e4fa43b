"""Questions in place of grids: the narrowest accumulator that keeps top-1, found by bisection.

The search assumes that what a width keeps, every wider one keeps too, and checks it where it matters: the answer P was
evaluated, or nothing overflows in it, and P - 1 was evaluated and fails.  It begins at the width that the sums of the
exact run needed on the same images, in which nothing can overflow; from there it goes down by 1, 2, 4, ... bits until
one fails, and halves what lies between, as what fails first lies a few bits below.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from ptqsim.datapath.order import MIN_REGISTER_BITS
from ptqsim.sweep.study.axis_values import refuse_blocks
from ptqsim.sweep.study.definition import ASKED, Study
from ptqsim.sweep.study.expand import axis_values, calibration_of, combinations, shifted_of
from ptqsim.sweep.study.expression import parse
from ptqsim.sweep.study.point import Calibration, Datapath, Point

Row = Mapping[str, Any]
Rounds = Generator[list[Point], list[Row], list["Answer"]]
"""Asks for points, is sent their rows, and returns answers."""
_WITH_INNER_REGISTER: Final = "split"


@dataclass(frozen=True, slots=True)
class Question:
    """The question for the narrowest accumulator, of all or of each layer, that loses at most ``within`` points.

    Attributes
    ----------
    calibration : Calibration
    exact : Datapath
        With exact accumulators; shifts and alignment are asked for, too.
    images : int
    within : float
    scope : {"network", "layer"}
    overflow, order : str
    """

    calibration: Calibration
    exact: Datapath
    images: int
    within: float
    scope: str
    overflow: str
    order: str

    def at(self, bits: int | None, layer: str | None = None) -> Point:
        """The point with this width."""
        datapath = self.exact
        if bits is not None:
            datapath = replace(datapath, acc_bits=bits, overflow=self.overflow, order=self.order, layer=layer)
        return Point(self.calibration.model, self.calibration, datapath, self.images)

    def together(self, widths: Mapping[str, int]) -> Point:
        """The point in which every layer has its own width."""
        listed = tuple(widths.items())
        datapath = replace(self.exact, overflow=self.overflow, order=self.order, widths=listed)
        return Point(self.calibration.model, self.calibration, datapath, self.images)


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer to a question, for the network, for one layer, or for all layers at once.

    Attributes
    ----------
    layer : str or None
        None is the network.
    exact_top1 : float
    acc_bits : int or None
        None if the widest is not good enough (a tile register of a split order overflows), or where each layer has its
        own width.
    widths : dict or None
        Of all layers at once: the narrowest width of each, and so many bits more for all as it takes to hold together.
    top1, top1_below : float or None
        At that width, and at one bit less; None of the latter if there is no narrower register.
    start_bits : int
        Where the search began: what the exact run needed.
    probes : dict
        Top-1 of every width that was evaluated.
    """

    layer: str | None
    exact_top1: float
    acc_bits: int | None
    top1: float | None
    top1_below: float | None
    start_bits: int
    probes: dict[str, float | None]
    widths: dict[str, int] | None = None

    def columns(self) -> dict[str, Any]:
        """As a row of the answers."""
        return asdict(self)


def questions(study: Study) -> Iterator[Question]:
    """Every question of a study, for every combination that it is asked of."""
    conditions = [condition for condition in study.conditions() if condition.names <= set(ASKED)]
    axes = {name: values for name, values in axis_values(study.axes).items() if name in ASKED}
    for ask in study.ask:
        where = [] if ask.where is None else [parse(ask.where, ASKED)]
        images = axes["evaluation_images"] if ask.evaluation_images is None else [ask.evaluation_images]
        for values in combinations(axes | {"evaluation_images": images}, conditions + where):
            refuse_blocks(values["formats"])
            for alignment in ask.alignment:
                for overflow in ask.overflow:
                    for order in ask.order:
                        exact = replace(shifted_of(values), alignment=alignment)
                        yield Question(
                            calibration_of(values), exact, values["evaluation_images"], ask.within, ask.scope, overflow,
                            order,
                        )  # fmt: skip


def rounds(question: Question) -> Rounds:
    """Find the answers; all layers go side by side."""
    (exact,) = yield [question.at(None)]
    observed: dict[str, int] = exact["observed"]
    least = exact["top1"] - question.within
    starts = {None: max(observed.values())} if question.scope == "network" else observed
    searches = [_Search(layer, bits, _search(bits, question.order)) for layer, bits in starts.items()]
    while waiting := [search for search in searches if search.width is not None]:
        rows = yield [question.at(search.width, search.layer) for search in waiting]
        for search, row in zip(waiting, rows, strict=True):
            search.go_on(row["top1"], least)
    found = [search.answer(exact["top1"]) for search in searches]
    widths = {answer.layer: answer.acc_bits for answer in found if answer.layer and answer.acc_bits}
    if question.scope == "layer" and len(widths) == len(found):
        found.append((yield from _together(question, widths, observed, exact["top1"])))
    return found


def _together(
    question: Question, widths: Mapping[str, int], observed: Mapping[str, int], exact: float
) -> Generator[list[Point], list[Row], Answer]:
    """The layers' own widths at once, and one bit more for each until they hold: what each may lose adds up."""
    probes: dict[str, float | None] = {}
    spare = 0
    while True:
        joint = {layer: min(bits + spare, max(bits, observed[layer])) for layer, bits in widths.items()}
        (row,) = yield [question.together(joint)]
        probes[f"+{spare}"] = row["top1"]
        held = row["top1"] is not None and row["top1"] >= exact - question.within
        if held or all(joint[layer] >= observed[layer] for layer in joint):
            below = probes.get(f"+{spare - 1}")
            return Answer(None, exact, None, row["top1"], below, max(observed.values()), probes, joint)
        spare += 1


class _Search:
    """A search on its way.

    Attributes
    ----------
    layer : str or None
    width : int or None
        What it asks about next; None once it has ended.
    """

    def __init__(self, layer: str | None, start: int, steps: _Steps) -> None:
        self.layer = layer
        self.width: int | None = None
        self._start = start
        self._steps = steps
        self._probes: dict[int, float | None] = {}
        self._end: tuple[int | None, int | None] = (None, None)
        self._advance(None)

    def go_on(self, top1: float | None, least: float) -> None:
        """Take the top-1 of the width that was asked about; None where the datapath trapped an overflow."""
        assert self.width is not None
        self._probes[self.width] = top1
        self._advance(top1 is not None and top1 >= least)

    def answer(self, exact: float) -> Answer:
        """Result of the search."""
        good, bad = self._end
        top1 = None if good is None else self._probes.get(good, exact)  # not evaluated: nothing overflows in it
        below = None if bad is None else self._probes[bad]
        probes = {str(width): value for width, value in self._probes.items()}
        return Answer(self.layer, exact, good, top1, below, self._start, probes)

    def _advance(self, told: bool | None) -> None:
        try:
            self.width = next(self._steps) if told is None else self._steps.send(told)
        except StopIteration as end:
            self.width, self._end = None, end.value


_Steps = Generator[int, bool, tuple[int | None, int | None]]
"""Asks whether a width is good; returns the narrowest good one and the widest that is not."""


def _search(start: int, order: str) -> _Steps:
    good, step = max(start, MIN_REGISTER_BITS), 1
    # a tile register may overflow however wide the accumulator is; else nothing does at the width that was needed
    if order.startswith(_WITH_INNER_REGISTER) and not (yield good):
        return None, good
    bad: int | None = None
    while bad is None and good > MIN_REGISTER_BITS:
        width = max(MIN_REGISTER_BITS, good - step)
        if (yield width):
            good, step = width, 2 * step
        else:
            bad = width
    while bad is not None and good - bad > 1:
        width = (good + bad) // 2
        if (yield width):
            good = width
        else:
            bad = width
    return good, bad
