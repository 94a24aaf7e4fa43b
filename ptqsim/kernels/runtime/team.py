"""Kernels run by several threads, without Python.

A kernel is called as ``kernel(start, stop, team, ...)`` and begins with ``start = shared(start, stop, team)``. Without
a team (0) it then computes the whole range. With a team, `shared` lets this thread and the members of the team call the
kernel for parts of the range, with the same arguments and no team, and then returns `stop`, as nothing is left to do.
Every thread has a share of the range. It repeatedly takes most of what is left of its own share, and then helps with
the shares of others. So threads mostly write to the memory they wrote to in the previous product, and a late or slow
thread holds up nobody. Which thread computes a part is left to chance, so what a kernel writes must depend on the part
alone. Parts start at multiples of a unit. Every part runs in the default floating-point environment (`environment`),
whatever that of its thread is. A team without members computes everything as one part.

The work and the address of the kernel are posted in memory, where a spinning thread sees them within the transfer time
of a cache line. Work that was posted for a thread that has not begun it is taken back, so nobody waits for that thread.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from ptqsim.kernels.runtime.atomic import call, call_plain, compare_exchange, fetch_add, fetch_or, load, pause, store
from ptqsim.kernels.runtime.environment import DEFAULT, exchange
from ptqsim.kernels.runtime.jit import inlined, jit, native
from ptqsim.kernels.runtime.machine import COMPILED

_WORD: Final = 8

LINE: Final = 8
"""Words of a cache line, or more: what one thread writes is kept in another line than what others read meanwhile."""

# Words of a member, that is of a thread that helps: its state; in another line its number within a team, the functions
# that put it to sleep and wake it, and the address of the semaphore that these take; from a third line on, memory for
# the semaphore.
STATE, SEMAPHORE, MEMBER_WORDS = 0, 2 * LINE, 4 * LINE
NUMBER, SLEEP, WAKE, CHANNEL = range(LINE, LINE + 4)

FOREVER: Final = -1
"""Longest sleep of a member, on systems whose wait takes a time limit; others take the semaphore alone."""

# States of a member. Any other value is the address of the words of a team that has posted work for it.
IDLE, RUNNING, ASLEEP = 0, 1, 2

# Words of a team: the addresses of `lead` and of the function that yields the core, the number of members, the unit,
# the pauses for which members spin, and the part and frame of the kernel. In the next line, what was found and how many
# members are done; then the addresses of the members. From a new line on, each share has a line of its own with two
# words: where it goes on and where it ends.
LEAD, YIELD, COUNT, UNIT, AWAKE, PART, FRAME = range(7)
FOUND, DONE, MEMBERS = LINE, LINE + 1, 2 * LINE

SOMETHING, FAILED = 1, 2
"""Bits of what was found: a part returned something other than zero; a part raised."""

# Pauses for which a thread waits for others before it yields its core, in case they have none.
_PATIENCE: Final = 1000


def team_words(members: int) -> int:
    """Number of words of a team with so many members."""
    return int(_shares(members)) + (members + 1) * LINE


@inlined
def _shares(members: int) -> int:
    return MEMBERS + (members + LINE - 1) // LINE * LINE


def _lead(team: int, part: int, frame: int, start: int, stop: int) -> int:
    members, unit = load(team, COUNT), load(team, UNIT)
    blocks = (stop - start + unit - 1) // unit
    for share in range(members + 1):
        at = _shares(members) + share * LINE
        store(team, at, start + blocks * share // (members + 1) * unit)
        store(team, at + 1, min(stop, start + blocks * (share + 1) // (members + 1) * unit))
    store(team, PART, part)
    store(team, FRAME, frame)
    store(team, FOUND, 0)
    store(team, DONE, 0)
    posted = 0
    for member in range(members):
        posted += _post(team, load(team, MEMBERS + member))
    _take_part(team, 0)
    for member in range(members):
        posted -= compare_exchange(load(team, MEMBERS + member), STATE, team, IDLE)
    waited = 0
    while load(team, DONE) < posted:
        pause()
        waited += 1
        if waited > _PATIENCE and load(team, YIELD):
            call_plain(load(team, YIELD))
    return 0


@cache
def lead() -> int:
    """The address of the function that `shared` calls: it posts the work, takes part, and waits until all is done."""
    address: int = native(_lead, types.int64(*[types.int64] * 5)).address
    return address


@inlined
def _post(team: int, member: int) -> bool:
    """Post the work for a member unless it works for others, and wake it if it sleeps."""
    if compare_exchange(member, STATE, IDLE, team):
        return True
    if compare_exchange(member, STATE, ASLEEP, team):
        call(load(member, WAKE), load(member, CHANNEL), 0, 0)
        return True
    return False


def _serve(member: int) -> int:
    """Take part in what is posted for a member, until the process ends; sleep after a while without work.

    The thread sleeps in the system and not in Python. When woken it would have to wait for Python's lock, which a
    caller of many kernels hardly ever releases.
    """
    pauses, waited, served = 0, 0, 0
    while served >= 0:
        team = load(member, STATE)
        # The team may have taken its work back meanwhile; then the exchange fails.
        if team > ASLEEP and compare_exchange(member, STATE, team, RUNNING):
            pauses, waited, served = load(team, AWAKE), 0, 1
            _take_part(team, load(member, NUMBER))
            # The team's words may be gone as soon as all members are done.
            store(member, STATE, IDLE)
            fetch_add(team, DONE, 1)
        elif team == ASLEEP or (waited >= pauses and compare_exchange(member, STATE, IDLE, ASLEEP)):
            # Something else than work may wake it: a signal, or work that was posted before and taken back.
            call(load(member, SLEEP), load(member, CHANNEL), FOREVER, 0)
            waited = 0
        else:
            pause()
            waited += 1
    return served


@cache
def serve() -> Callable[[int], int]:
    """Compiled `_serve`, which is called without Python's lock."""
    function: Callable[[int], int] = native(_serve, types.int64(types.int64)).ctypes
    return function


@jit
def wait(pauses: int) -> int:
    """Spin for a number of pauses."""
    for _ in range(pauses):
        pause()
    return pauses


@inlined
def _take_part(team: int, number: int) -> None:
    members, unit, part, frame = load(team, COUNT), load(team, UNIT), load(team, PART), load(team, FRAME)
    found = 0
    for turn in range(members + 1):
        at = _shares(members) + (number + turn) % (members + 1) * LINE
        stop = load(team, at + 1)
        start = load(team, at)
        while start < stop:
            # Three quarters of what is left: large parts first and small ones last, so that all threads end together.
            blocks = (stop - start + unit - 1) // unit
            after = min(stop, start + (3 * blocks + 3) // 4 * unit) if members else stop
            if compare_exchange(team, at, start, after):
                found |= call(part, frame, start, after)
            start = load(team, at)
    if found:
        fetch_or(team, FOUND, found)


_INT64 = ir.IntType(64)

# Where start, stop and team are among what a compiled function takes: after the places for its result and its error.
_START, _STOP, _CREW, _GIVEN = 2, 3, 4, 2

_intrinsic: Any = intrinsic  # numba types what it is given, and not what it gives


def _generate_shared(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    start, stop, team = values
    function = builder.function
    given = function.args[_GIVEN:]
    frame_type = ir.LiteralStructType([argument.type for argument in given])
    left = cgutils.alloca_once_value(builder, start)
    frame = cgutils.alloca_once(builder, frame_type)
    with builder.if_then(cgutils.is_not_null(builder, team), likely=False):
        for index, argument in enumerate(given):
            builder.store(argument, cgutils.gep_inbounds(builder, frame, 0, index))
        part = _part(function, frame_type)
        leads = ir.FunctionType(_INT64, [_INT64] * 5)
        address = builder.load(builder.gep(builder.inttoptr(team, _INT64.as_pointer()), [_INT64(LEAD)]))
        of_part, of_frame = (builder.ptrtoint(pointer, _INT64) for pointer in (part, frame))
        builder.call(builder.inttoptr(address, leads.as_pointer()), [team, of_part, of_frame, start, stop])
        builder.store(stop, left)
    return builder.load(left)


def _part(function: Any, frame_type: Any) -> Any:
    """A function that calls another one, with what is in a frame, for a range of its own and without a team."""
    part = ir.Function(function.module, ir.FunctionType(_INT64, [_INT64] * 3), function.name + ".part")
    part.linkage = "internal"
    builder = ir.IRBuilder(part.append_basic_block())
    frame = builder.inttoptr(part.args[0], frame_type.as_pointer())
    places = [cgutils.gep_inbounds(builder, frame, 0, index) for index in range(len(frame_type.elements))]
    arguments = [*map(builder.alloca, (place.type.pointee for place in function.args[:_GIVEN]))]
    arguments += map(builder.load, places)
    arguments[_START], arguments[_STOP], arguments[_CREW] = part.args[1], part.args[2], _INT64(0)
    # Not inlined: the compiler takes no float operation to depend on the environment, and might move it out of here.
    before = exchange(builder, _INT64(DEFAULT))
    status = builder.call(function, arguments, attrs=("noinline",))
    exchange(builder, before)
    value = builder.load(arguments[0])
    something = builder.zext(builder.icmp_unsigned("!=", value, value.type(0)), _INT64)
    raised = builder.icmp_signed("!=", status, status.type(0))
    builder.ret(builder.select(raised, _INT64(FAILED), something))
    return part


@_intrinsic
def _shared(typing_context, start, stop, team):  # type: ignore[no-untyped-def]
    words = types.int64, types.int64, types.int64
    if (start, stop, team) != words:
        raise TypeError(f"a range and the address of a team are int64, got {start}, {stop}, {team}")
    return types.int64(*words), _generate_shared


def _alone(start: int, stop: int, team: int) -> int:
    """Nobody shares what is not compiled."""
    return start


shared: Any = _shared if COMPILED else _alone
"""``shared(start, stop, team)``: have a team do a range, if there is one; where the calling kernel goes on."""
