"""timm's entry points by family: the module of timm that defines them."""

from __future__ import annotations

import fnmatch
from typing import Final

from ptqsim.errors import unknown_name

CONVOLUTIONAL: Final = frozenset(
    {
        "byoanet", "byobnet", "cspnet", "cspnext", "densenet", "dla", "dpn", "efficientnet", "fasternet", "ghostnet",
        "hardcorenas", "hgnet", "hrnet", "inception_resnet_v2", "inception_v3", "inception_v4", "lcnetv2",
        "mobilenetv3", "nasnet", "nfnet", "pnasnet", "rdnet", "regnet", "repghost", "res2net", "resnest", "resnet",
        "resnetv2", "rexnet", "selecsls", "senet", "sknet", "tresnet", "vgg", "vovnet", "xception",
        "xception_aligned",
    }
)  # fmt: skip
"""Modules of plain convolutional networks; every other one counts as transformer-like."""


def entry_points(pattern: str = "*", *, every: bool = False) -> dict[str, str]:
    """timm's architectures, and the family of each.

    Parameters
    ----------
    pattern : str
        Of names or of families, with ``*`` and ``?``.
    every : bool
        Convolutional networks too; a pattern other than ``*`` finds them anyway.

    Returns
    -------
    dict of str to str
        By name, families and names in alphabetical order.

    Raises
    ------
    ValueError
        Where nothing has that name; it suggests the nearest.
    """
    import timm

    families = {name: _family(name) for name in timm.list_models()}
    found = {
        name: family
        for name, family in families.items()
        if fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(family, pattern)
        if every or pattern != "*" or family not in CONVOLUTIONAL
    }
    if not found:
        raise unknown_name("architecture of timm", pattern, [*families, *set(families.values())])
    return dict(sorted(found.items(), key=lambda pair: (pair[1], pair[0])))


def _family(name: str) -> str:
    import timm

    return str(timm.model_entrypoint(name).__module__).rpartition(".")[2]
