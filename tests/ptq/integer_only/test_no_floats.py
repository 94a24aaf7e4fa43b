"""No floating-point number between pixels and logits: in torch, in NumPy, and in the variables of kernels."""

from __future__ import annotations

import sys
from importlib import import_module
from pkgutil import walk_packages
from types import FrameType
from typing import Any

import numba
import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import ptqsim.kernels.units
from ptqsim import ptq
from ptqsim.kernels.runtime import machine


class NoFloats(TorchDispatchMode):
    """Lets no floating-point tensor through."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for one in tree_leaves((args, kwargs, made)):
            if isinstance(one, torch.Tensor) and (one.is_floating_point() or one.is_complex()):
                raise AssertionError(f"{func} met a tensor of {one.dtype}")
        return made


class NoFloatArrays:
    """Lets no function that runs within it hold or return an array of floats; a context manager."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.frames = 0

    def __enter__(self) -> NoFloatArrays:
        self._before = sys.gettrace()
        sys.settrace(self._look)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _look(self, frame: FrameType, event: str, returned: Any) -> Any:
        if event == "return":
            self.frames += 1
            held = {**frame.f_locals, "(returned)": returned}
            for name, value in held.items():
                if isinstance(value, np.ndarray) and value.dtype.kind in "fc":
                    self.found.append(f"{frame.f_code.co_filename} {frame.f_code.co_name}: {name} {value.dtype}")
        return self._look


def test_guards_see_floats() -> None:
    with pytest.raises(AssertionError, match="float32"), NoFloats():
        torch.ones(2) + 1

    def half(x: Any) -> Any:
        return x / 2

    with NoFloatArrays() as guard:
        half(np.arange(3))
    assert len(guard.found) == 1
    assert "half: (returned) float64" in guard.found[0]


def test_no_float_tensor_or_array(integer_only: ptq.QuantizedModel, pixels: torch.Tensor) -> None:
    with NoFloats(), NoFloatArrays() as guard:
        logits = integer_only(pixels[:2])
    assert logits.dtype == torch.int64
    assert guard.frames > 1000
    assert guard.found == []


@pytest.mark.slow
@pytest.mark.skipif(not machine.COMPILED, reason="kernels are not compiled")
def test_no_variable_of_a_kernel_of_units_is_a_float(integer_only: ptq.QuantizedModel, pixels: torch.Tensor) -> None:
    """Types of all variables, as Numba found them; compiling anew makes those of inner functions known, too."""
    integer_only(pixels[:2])
    for unit in {
        unit.kind: unit for step in integer_only.required_plan().steps for unit in getattr(step, "units", ())
    }.values():
        rows = np.zeros((1, unit.channels or unit.longest), np.int64)
        unit._run((rows,) * len(unit.inputs), np.empty(rows.shape, unit.out_format.code_dtype))
    kernels = {
        f"{info.name.rpartition('.')[2]}.{name}": kernel
        for info in walk_packages(ptqsim.kernels.units.__path__, "ptqsim.kernels.units.")
        for name, kernel in vars(import_module(info.name)).items()
        if hasattr(kernel, "overloads")
    }
    for kernel in list(kernels.values()):
        for signature in list(kernel.signatures):
            numba.njit(kernel.py_func).compile(signature)
    texts = {name: str(made.type_annotation) for name, one in kernels.items() for made in one.overloads.values()}
    of_vectors = {f"vectors.{name}" for name in ("rescale", "residual_add", "look_up")}
    assert of_vectors | {"row_vectors.layer_norm", "row_vectors.softmax"} <= texts.keys()
    of_elements = {f"elementwise.{name}" for name in ("rescale", "residual_add", "look_up")}
    assert of_elements | {"layer_norm.layer_norm", "softmax.base_two", "target.encode_by_shift"} <= texts.keys()
    assert all("int64" in text for text in texts.values())
    assert not [name for name, text in texts.items() if "float" in text]


def test_products_by_integers_on_machines_without_instructions_for_words(
    integer_only: ptq.QuantizedModel, pixels: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The floats of a BLAS are not taken even where nothing faster is there, and give the same bits."""
    expected = integer_only(pixels[:1])
    kernels: set[str] = set()
    for layer in integer_only.layers.values():
        monkeypatch.setattr(layer.integer, "recorder", lambda name, g, a, b, result: kernels.add(result.kernel))
    for name in ("MATRIX", "DOT", "PAIRS"):
        monkeypatch.setattr(machine, name, False)
    assert torch.equal(integer_only(pixels[:1]), expected)
    assert kernels == {"integer_int64"}
