"""Heavy imports at the top of a test file happen when its first test runs, and not when it is collected.

While pytest collects, the names that such an import statement binds are placeholders, and so are their attributes and
the results of calls. Before a test or a fixture runs, the placeholders among its file's globals and its parameters are
replaced by what they stand for. Where a value is needed at the top of a file already, as a base class or in a loop for
instance, the placeholder imports there and then: right, but as slow as an ordinary import.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from importlib import import_module
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any, Final

HEAVY: Final = (
    "analysis", "benchmarks", "distributed", "matplotlib", "onnx", "onnxruntime", "ptqsim.ptq", "ptqsim.sweep",
    "pyarrow", "safetensors", "scipy", "sklearn", "timm", "torch", "torchvision", "transformers",
)  # fmt: skip
"""Packages whose import takes some tenths of a second or more, or that import one of these."""

_HERE: Final = str(Path(__file__).parent)
_import: Final = builtins.__import__
_helpers: list[MutableMapping[str, Any]] = []
"""Globals of the files in tests/ that are neither tests nor conftest.py."""


class Placeholder:
    """Stands for the value of an expression that imports something heavy.

    Parameters
    ----------
    make : callable
        Gives the value.
    name : str, optional
        Name that was imported; pytest makes ids of it.
    """

    def __init__(self, make: Callable[[], Any], name: str | None = None) -> None:
        self._make = make
        self._made: list[Any] = []
        if name is not None:
            self.__name__ = name

    def real(self) -> Any:
        """What it stands for, always the same object."""
        if not self._made:
            self._made.append(self._make())
        return self._made[0]

    def __getattr__(self, name: str) -> Any:
        if not _deferred():
            return getattr(self.real(), name)
        # pytest asks every name of a file that it collects whether it is a fixture
        if not _is_test_file(sys._getframe(1).f_globals):
            raise AttributeError(name)
        return Placeholder(lambda: getattr(self.real(), name))

    def __call__(self, *args: Any, **options: Any) -> Any:
        decorates = len(args) == 1 and isinstance(args[0], (FunctionType, type))
        made = Placeholder(lambda: self.real()(*_real(args), **_real(options)))
        return made if _deferred() and not decorates else made.real()

    def __getitem__(self, key: Any) -> Any:
        made = Placeholder(lambda: self.real()[_real(key)])
        return made if _deferred() else made.real()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.real())

    def __len__(self) -> int:
        return len(self.real())

    def __contains__(self, item: object) -> bool:
        return item in self.real()

    def __str__(self) -> str:
        return str(self.real())

    def __repr__(self) -> str:
        return repr(self.real())

    def __bool__(self) -> bool:
        return bool(self.real())

    def __eq__(self, other: object) -> bool:
        return bool(self.real() == _real(other))

    def __hash__(self) -> int:
        return hash(self.real())

    def __mro_entries__(self, bases: tuple[type, ...]) -> tuple[type]:
        return (self.real(),)

    def __instancecheck__(self, instance: object) -> bool:
        return isinstance(instance, self.real())


def begin() -> None:
    """Defer the heavy imports of test files from here on."""
    builtins.__import__ = _deferring


def end() -> None:
    """Import at once again."""
    builtins.__import__ = _import


def resolve(namespace: MutableMapping[str, Any]) -> None:
    """Replace placeholders among the values by what they stand for, and those in the files that tests import."""
    waiting = [name for name, value in namespace.items() if name != "__builtins__" and _real(value) is not value]
    for name in waiting:
        namespace[name] = _real(namespace[name])
    while waiting and _helpers:
        resolve(_helpers.pop())


def _real(value: Any, within: frozenset[int] = frozenset()) -> Any:
    """The value without placeholders; the same object if it has none, or holds itself."""
    if type(value) is Placeholder:
        return value.real()
    if type(value) not in (list, tuple, dict) or id(value) in within:
        return value
    within |= {id(value)}
    if type(value) is dict:
        named = {key: _real(part, within) for key, part in value.items()}
        return value if all(named[key] is value[key] for key in value) else named
    parts = [_real(part, within) for part in value]
    return value if all(new is old for new, old in zip(parts, value, strict=True)) else type(value)(parts)


def _deferred() -> bool:
    return builtins.__import__ is _deferring


def _deferring(
    name: str,
    globals: MutableMapping[str, Any] | None = None,
    locals: MutableMapping[str, Any] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> Any:
    # at the top of a file, and nowhere else, the local names are the global ones
    if globals is None or globals is not locals or level or not _is_test_file(globals):
        return _import(name, globals, locals, fromlist or (), level)
    wanted = [one for one in fromlist or () if _is_heavy(name) or _is_heavy(f"{name}.{one}")]
    if not wanted and (fromlist or not _is_heavy(name)):
        return _import(name, globals, locals, fromlist or (), level)
    file = Path(globals["__file__"]).name
    if not file.startswith("test_") and file != "conftest.py":
        _helpers.append(globals)
    if not fromlist:
        return Placeholder(lambda: import_module(name) and sys.modules[name.partition(".")[0]])  # `import a.b` binds a
    found = SimpleNamespace()
    for one in wanted:
        setattr(found, one, Placeholder(lambda one=one: _from(name, one), one))
    others = [one for one in fromlist if one not in wanted]
    if others:
        now = _import(name, globals, locals, others, level)
        for one in others:
            setattr(found, one, getattr(now, one))
    return found


def _from(module: str, name: str) -> Any:
    found = import_module(module)
    try:
        return getattr(found, name)
    except AttributeError:
        return import_module(f"{module}.{name}")


def _is_heavy(module: str) -> bool:
    return any(module == one or module.startswith(f"{one}.") for one in HEAVY)


def _is_test_file(namespace: MutableMapping[str, Any]) -> bool:
    return str(namespace.get("__file__", "")).startswith(_HERE)
