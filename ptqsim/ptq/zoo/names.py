"""Names of networks: the bundled ones, the papers' own by the field's short names, and timm's."""

from __future__ import annotations

import difflib
from typing import Final

from ptqsim.errors import unknown_name
from ptqsim.ptq.zoo.detector_names import DETECTORS
from ptqsim.ptq.zoo.own import OWN

PAPER_MODELS: Final[dict[str, str]] = {
    "vit_small_patch32": "vit_small_patch32_224.augreg_in21k_ft_in1k",
    "vit_small": "vit_small_patch16_224.augreg_in21k_ft_in1k",
    "vit_base": "vit_base_patch16_224.augreg_in21k_ft_in1k",
    "vit_base_384": "vit_base_patch16_384.augreg_in21k_ft_in1k",
    "vit_large": "vit_large_patch16_224.augreg_in21k_ft_in1k",
    "deit_small": "deit_small_patch16_224.fb_in1k",
    "deit_base": "deit_base_patch16_224.fb_in1k",
    "deit_base_384": "deit_base_patch16_384.fb_in1k",
    "swin_tiny": "swin_tiny_patch4_window7_224.ms_in1k",
    "swin_small": "swin_small_patch4_window7_224.ms_in1k",
    "swin_base": "swin_base_patch4_window7_224.ms_in22k_ft_in1k",
    "swin_base_384": "swin_base_patch4_window12_384.ms_in22k_ft_in1k",
}
"""The eleven networks of PTQ4ViT's Table 1 and the ViT-L of Liu et al., in the field's short names.

The tag behind the dot is that of the weights which ``pretrained`` fetches.  A name of timm without a tag means timm's
default weights, which for some of these networks are later ones than the papers quantized.
"""


def timm_name(name: str) -> str | None:
    """timm's name of a network; None for a bundled or a fetched one.

    Raises
    ------
    ValueError
        For a name that is neither bundled, fetched, short nor timm's, with the nearest of them; for a tag that timm has
        not.
    """
    import timm

    if name in OWN:
        return None
    full = PAPER_MODELS.get(name, name)
    if not timm.is_model(full):
        raise _unknown(name)
    architecture, _, tag = full.partition(".")
    if tag:
        tagged = timm.list_pretrained(f"{architecture}.*")
        if full not in tagged:
            raise unknown_name("pretrained weights", full, [architecture, *tagged])
    return full


def _unknown(name: str) -> ValueError:
    import timm

    short = [*OWN, *PAPER_MODELS, *DETECTORS]
    near = difflib.get_close_matches(name, short, n=2) + difflib.get_close_matches(name, timm.list_models(), n=2)
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    return ValueError(
        f"unknown model {name!r}; legal are {', '.join(map(repr, short))}, and every model name of timm.{hint}"
    )
