"""Small networks that integer-only mode takes, calibrated once."""

from __future__ import annotations

import pytest
import torch

from ptqsim import ptq
from tests.ptq.networks import HALF, vision_transformer


def distilled(**sizes):
    from timm.models.deit import VisionTransformerDistilled

    return VisionTransformerDistilled(**sizes).eval()


def swin(**sizes):
    from timm.models.swin_transformer import SwinTransformer

    return SwinTransformer(
        img_size=16, patch_size=2, embed_dim=16, depths=(2, 1), num_heads=(2, 4), window_size=4, num_classes=10
    ).eval()


SIZES = {"img_size": 16, "patch_size": 4, "num_classes": 10, "embed_dim": 16, "depth": 2, "num_heads": 2}
NETWORKS = {
    "vit": lambda: vision_transformer(**SIZES),
    "vit with layer scale": lambda: vision_transformer(**SIZES, init_values=0.5, global_pool="avg"),
    "deit": lambda: distilled(**SIZES),
    "swin": swin,
}


@pytest.fixture(scope="session", params=NETWORKS)
def images_and_network(request):
    """Images made from pixels, and a network with a plan."""
    torch.manual_seed(1)
    network = NETWORKS[request.param]()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    network.pretrained_cfg = HALF
    images = (torch.randint(0, 256, (6, 3, 16, 16)).float() / 255 - 0.5) / 0.5
    return images, ptq.calibrate(network, images, method="percentile", w_bits=6, a_bits=6, integer_only=True)
