"""Every product of DETR is an operation, counted from the module tree and by watching torch; all run in integers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ptqsim import ptq
from ptqsim.ptq.network.convolutions.operation import POSITIONS, ConvOperation
from ptqsim.ptq.network.detr.detector import Detector
from ptqsim.ptq.network.wrapping.wrap import wrap
from ptqsim.ptq.zoo.detector_names import DETR_DIGITS, DETR_RESNET_50


def products_of_tree(model: nn.Module) -> int:
    """One for every layer with a weight matrix and two for every attention, by their types' names."""
    layers = sum(type(m) in (nn.Conv2d, nn.Linear) for m in model.modules())
    return layers + 2 * sum("Attention" in type(m).__name__ for m in model.modules())


def check_complete(model: Detector, images: torch.Tensor, count_products: Callable[[], Any]) -> int:
    with torch.no_grad(), count_products() as counted:
        expected = model(images)
    wrapped, operations = wrap(model)
    ran: list[str] = []
    for op in operations.values():
        op.observer = lambda op, a, b, out: ran.append(op.name)
    with torch.no_grad():
        got = wrapped(images)
    assert len(operations) == counted.count == products_of_tree(model)
    assert sorted(ran) == sorted(operations)
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-4)
    return len(operations)


def test_every_product_of_the_small_detr_is_an_operation(
    detector: Detector, scenes: torch.Tensor, count_products: Callable[[], Any]
) -> None:
    check_complete(detector, scenes[:2], count_products)


def test_every_product_of_the_bundled_detr_is_an_operation(
    scenes: torch.Tensor, count_products: Callable[[], Any]
) -> None:
    # 11 + 1 convolutions; 2 encoder layers of 6 + 2, 3 decoder layers of 12 + 2; classes, and 3 layers for boxes
    assert check_complete(DETR_DIGITS.build().eval(), scenes[:1], count_products) == 12 + 16 + 42 + 4


@pytest.mark.slow
def test_every_product_of_detr_resnet_50_is_an_operation(count_products: Callable[[], Any]) -> None:
    torch.manual_seed(0)
    model = DETR_RESNET_50.build().eval()
    # 53 + 1 convolutions; 6 encoder layers of 6 + 2, 6 decoder layers of 12 + 2; classes, and 3 layers for boxes
    images = torch.randn(1, 3, 96, 128)
    assert check_complete(model, images, count_products) == 54 + 48 + 84 + 4
    quantized = ptq.calibrate(model, images, method="percentile")
    quantized.mode = "integer"
    with count_products() as beside:
        assert torch.isfinite(quantized(images)).all()
    assert beside.count == 0


def test_integer_mode_multiplies_in_operations_alone(
    quantized: ptq.QuantizedModel, scenes: torch.Tensor, count_products: Callable[[], Any]
) -> None:
    fake = quantized(scenes)
    quantized.mode = "integer"
    try:
        with count_products() as beside:
            got = quantized(scenes)
        checks = ptq.verify(quantized, scenes, outputs=100)
    finally:
        quantized.mode = "fake_quant"
    assert beside.count == 0
    assert checks.keys() == quantized.layers.keys()
    assert sum(check.mismatches for check in checks.values()) == 0
    # the same values but for float sums that round to other codes here and there
    assert float((got - fake).abs().mean()) < 0.1 * float((fake - fake.mean()).abs().mean())


def test_formats_are_those_of_each_operand(quantized: ptq.QuantizedModel) -> None:
    for name, op in quantized.layers.items():
        assert op.formats is not None
        kinds = {fmt.kind for fmt in op.formats.a}
        assert kinds == ({"twin_softmax"} if name.endswith("matmul_pv") else {"uniform"})  # ReLU's outputs are uniform
    cross = quantized.layers["detr.model.decoder.layers.1.encoder_attn.matmul_pv"]
    assert cross.depth == 64  # tokens of the encoder
    assert quantized.layers["detr.model.decoder.layers.1.self_attn.matmul_pv"].depth == 8  # queries
    assert cross.bounds["row_stochastic"].bits <= cross.bounds["datatype"].bits


def test_padding_is_masked(detector: Detector, scenes: torch.Tensor) -> None:
    """Pixels behind the border of an image change nothing, unless the mask says that they are image."""
    wrapped, _ = wrap(detector)
    padded = torch.zeros(1, 4, 128, 80)
    padded[:, :3, :64, :64] = scenes[:1]
    padded[:, 3, :64, :64] = 1.0
    with torch.no_grad():
        torch.testing.assert_close(wrapped(padded), detector(padded), rtol=1e-4, atol=1e-5)
        other = padded.clone()
        other[:, :3, 104:] = 9.0  # 40 pixels away, and the last map sees 25 to each side
        near, far = detector(padded), detector(other)
        torch.testing.assert_close(near, far, rtol=1e-4, atol=1e-4)
        padded[:, 3], other[:, 3] = 1.0, 1.0
        assert float((detector(padded) - detector(other)).abs().max()) > 1e-2


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation"), [(1, 1, 0, 1), (3, 1, 1, 1), (3, 2, 1, 1), ((3, 2), (1, 2), (2, 0), 2)]
)
def test_a_convolution_is_a_product_of_patches(kernel: Any, stride: Any, padding: Any, dilation: Any) -> None:
    torch.manual_seed(1)
    conv = nn.Conv2d(5, 7, kernel, stride, padding, dilation)
    op = ConvOperation("conv", conv)
    x = torch.randn(2, 5, 11, 12)
    with torch.no_grad():
        expected = conv(x)
        assert torch.equal(op(x), expected)
        op.observer = lambda op, a, b, out: None
        torch.testing.assert_close(op(x), expected, rtol=1e-5, atol=1e-5)


def test_an_integer_convolution_adds_up_its_codes() -> None:
    """Against a convolution of the codes written out, pixel by pixel."""
    import ptqsim as pq
    from ptqsim.ptq.network.products.operations import OperandFormats

    torch.manual_seed(2)
    conv = nn.Conv2d(2, 3, 3, stride=2, padding=1)
    op = ConvOperation("conv", conv)
    x = torch.randn(1, 2, 6, 5)
    a, w = pq.Uniform(bits=6, scale=0.1), pq.Uniform(bits=5, scale=0.03)
    op.formats = OperandFormats((a,), (w,))
    op.mode = "integer"
    with torch.no_grad():
        got = op(x)[0].numpy()
    codes = np.clip(np.rint(x[0].numpy() / np.float32(0.1)), -32, 31).astype(int)
    assert conv.bias is not None
    bias = conv.bias.detach().numpy()
    weight = np.clip(np.rint(conv.weight.detach().numpy() / np.float32(0.03)), -16, 15).astype(int)
    for n in range(3):
        for i in range(3):
            for j in range(3):
                total = 0
                for c in range(2):
                    for u in range(3):
                        for v in range(3):
                            y, z = 2 * i + u - 1, 2 * j + v - 1
                            if 0 <= y < 6 and 0 <= z < 5:
                                total += int(codes[c, y, z]) * int(weight[n, c, u, v])
                assert got[n, i, j] == pytest.approx(total * 0.1 * 0.03 + bias[n], rel=1e-6, abs=1e-6)


def test_calibration_looks_at_the_same_places_of_inputs_outputs_and_gradients(
    detector: Detector, scenes: torch.Tensor
) -> None:
    name = "detr.model.backbone.model.embedder.embedder.convolution"  # 32x32 places
    with ptq.capture(detector, scenes[:3]) as captured:
        data = captured[name]
    assert data.a.shape == (1, 3 * POSITIONS, 3 * 7 * 7)
    assert data.out.shape == data.grad.shape == (1, 3 * POSITIONS, 8)  # type: ignore[union-attr]
    conv = detector.get_submodule(name)
    seen: dict[str, torch.Tensor] = {}

    def keep(module: nn.Module, args: Any, out: torch.Tensor) -> torch.Tensor:
        seen["out"] = out.detach().requires_grad_(True)
        return seen["out"]

    handle = conv.register_forward_hook(keep)
    try:
        outputs = detector(scenes[:3])
    finally:
        handle.remove()
    detector.task.loss(outputs, "pseudo_label", torch.Generator()).backward()
    order = torch.randperm(32 * 32, generator=torch.Generator().manual_seed(0))[:POSITIONS].sort().values
    places = seen["out"].detach().flatten(2).transpose(1, 2)[:, order]
    torch.testing.assert_close(data.out.reshape(3, POSITIONS, 8), places, rtol=1e-4, atol=1e-4)
    gradient = seen["out"].grad.flatten(2).transpose(1, 2)[:, order]  # type: ignore[union-attr]
    assert data.grad is not None
    torch.testing.assert_close(data.grad.reshape(3, POSITIONS, 8), gradient, rtol=1e-2, atol=1e-4)


def test_other_convolutions_are_refused_by_name(detector: Detector) -> None:
    from copy import deepcopy

    model = deepcopy(detector)
    model.detr.model.input_projection = nn.Conv2d(16, 32, 1, padding=1, padding_mode="reflect")
    with pytest.raises(
        ValueError, match=r"operation 'detr\.model\.input_projection' is a convolution with padding mode"
    ):
        wrap(model)


def test_a_product_beside_the_operations_is_refused(detector: Detector, scenes: torch.Tensor) -> None:
    from copy import deepcopy

    class Stray(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.linear(x, torch.eye(x.shape[-1]))

    model = deepcopy(detector)
    model.detr.model.encoder.layers[0].final_layer_norm = Stray()
    with pytest.raises(ValueError, match="final_layer_norm"):
        ptq.calibrate(model, scenes, method="percentile")
