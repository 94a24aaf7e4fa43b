"""One layer in Brevitas: its bounds, integer weights and integer outputs under A2Q and A2Q+, as a small record.

Where Brevitas 0.13 and PyTorch are installed,

    python -m tests.fitting.brevitas_layer tests/fitting/brevitas.npz

makes the record anew. The layer is ``blocks.0.attn.proj`` of the bundled vit_digits; the inputs are drawn by a seed.
"""

from __future__ import annotations

import json
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

RECORD = Path(__file__).with_name("brevitas.npz")
WEIGHTS = Path(__file__).parents[2] / "ptqsim/ptq/zoo/parameters/vit_digits.safetensors"
LAYER = "blocks.0.attn.proj.weight"
QUANTIZERS = {"a2q": "Int8AccumulatorAwareWeightQuant", "a2q_plus": "Int8AccumulatorAwareZeroCenterWeightQuant"}
INPUTS = {"unsigned": "Uint8ActPerTensorFloat", "signed": "Int8ActPerTensorFloat"}
WIDTHS = (14, 16)
ROWS, SEED = 16, 0


def case(name: str, inputs: str, width: int) -> str:
    """Name of one case."""
    return f"{name}.{inputs}.{width}"


def cases() -> list[tuple[str, str, int]]:
    """Every quantizer with every sign of the inputs and every width of the accumulator."""
    return list(product(QUANTIZERS, INPUTS, WIDTHS))


def made() -> dict[str, Any]:
    """Arrays that Brevitas computes, by name."""
    import brevitas
    import torch
    from brevitas import quant
    from brevitas.nn import QuantLinear
    from safetensors.torch import load_file

    weight = load_file(WEIGHTS)[LAYER].float()
    found: dict[str, Any] = {"weight": weight.numpy()}
    for name, inputs, width in cases():
        torch.manual_seed(SEED)
        x = torch.randn(ROWS, weight.shape[1])
        x = x if inputs == "signed" else x.abs()
        linear = QuantLinear(
            weight.shape[1], weight.shape[0], bias=False, weight_quant=getattr(quant.scaled_int, QUANTIZERS[name]),
            weight_accumulator_bit_width=width, input_quant=getattr(quant.scaled_int, INPUTS[inputs]),
            return_quant_tensor=True,
        )  # fmt: skip
        linear.load_state_dict({"weight": weight}, strict=False)
        for module in linear.modules():  # scales start from the statistics of these weights
            if hasattr(module, "init_tensor_quant"):
                module.init_tensor_quant()
        linear.train()
        linear(x)  # the scale of the inputs is one of what is seen in training
        linear.eval()
        with torch.no_grad():
            quantized = linear.input_quant(x)
            codes, out = linear.quant_weight(quantized), linear(x)
            norm = linear.weight_quant.tensor_quant.pre_scaling_impl.calc_max_l1_norm(
                quantized.bit_width, inputs == "signed"
            )
            outputs = out.value / out.scale
        assert float((outputs - outputs.round()).abs().max()) < 0.01
        key = case(name, inputs, width)
        found |= {
            f"{key}.bound": np.float64(norm.item()),
            f"{key}.weights": codes.int().numpy().astype(np.int8),
            f"{key}.scales": codes.scale.flatten().double().numpy(),
            f"{key}.inputs": quantized.int().numpy().astype(np.int16),
            f"{key}.outputs": outputs.round().int().numpy(),
        }
    about = {"brevitas": brevitas.__version__, "torch": torch.__version__, "layer": LAYER, "seed": SEED}
    return found | {"about": np.array(json.dumps(about))}


if __name__ == "__main__":
    np.savez_compressed(Path(sys.argv[1]), **made())
