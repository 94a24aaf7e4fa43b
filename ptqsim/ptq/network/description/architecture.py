"""The architecture of a network: classes and settings of its modules, which decide its outputs and are no weights.

Two networks with weights of the same names and shapes may have another activation, epsilon or number of heads. What is
described here outlives releases of libraries: only settings that both descriptions name are compared, and what is
nothing in evaluation mode, such as dropout, is left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from torch import nn

from ptqsim.common import fingerprint, strict_json
from ptqsim.ptq.network.admission.alterations import RECORDER
from ptqsim.ptq.network.description.identity import own_source, plain_settings
from ptqsim.ptq.network.timm_classes import timm_class

_INERT: Final = (nn.Identity, nn.modules.dropout._DropoutNd)
_INERT_OF_TIMM: Final = "layers.drop.DropPath"
_WITHOUT_EFFECT: Final = frozenset(
    {
        "activation_dropout", "all_tied_weights_keys", "attention_dropout", "config", "default_cfg", "device",
        "drop_prob", "drop_rate", "dropout", "feature_info", "fix_init", "fused_attn", "grad_checkpointing", "inplace",
        "kernel_config", "loss_type", "name_or_path", "preprocessing", "pretrained_cfg", "pretrained_cfg_overlay",
        "stage_names", "task", "weight_init_mode",
    }
)  # fmt: skip
"""Settings of training, of how the same result is reached, and of where a network comes from."""


Architecture = dict[str, dict[str, Any]]
"""Of every module, by name, its class and its settings, as JSON gives them back."""


def architecture(network: nn.Module) -> Architecture:
    """Describe a network."""
    drop_path = timm_class(_INERT_OF_TIMM)
    inert = _INERT if drop_path is None else (*_INERT, drop_path)
    found = {
        name: {"class": _class(module), **_settings(module)}
        for name, module in network.named_modules()
        if not isinstance(module, inert)
    }
    described: Architecture = json.loads(strict_json.dumps(found))
    return described


def architectural_difference(stored: Mapping[str, Mapping[str, Any]], given: Architecture) -> str | None:
    """In words the first module in which two networks differ; None where there is none."""
    for name in [*stored, *(name for name in given if name not in stored)]:
        what = f"module {name!r}" if name else "the network"
        if name not in given:
            return f"{what}, a {stored[name]['class']}, is not in the model"
        if name not in stored:
            return f"{what} of the model, a {given[name]['class']}, is not in the file's"
        for setting in (setting for setting in stored[name] if setting in given[name]):
            one, other = stored[name][setting], given[name][setting]
            if one != other:
                verb = "is a" if setting == "class" else f"has {setting} ="
                return f"{what} {verb} {other} in the model, {one} in the file's"
    return None


def _class(module: nn.Module) -> str:
    """Name of a class, and a digest of its source where no version of a package stands for it."""
    parts = [type(module).__qualname__.rpartition(".")[2]]
    if source := own_source(type(module)):
        parts.append(f"of source {fingerprint.text(source)[:12]}")
    own = [vars(module)["forward"]] if "forward" in vars(module) else []
    hooks = (*module._forward_pre_hooks.values(), *module._forward_hooks.values())
    own += [hook for hook in hooks if getattr(hook, "__module__", None) != RECORDER]
    if own:
        parts.append(f"changed by {', '.join(map(str, map(plain_settings, own)))}")
    return " ".join(parts)


def _settings(module: nn.Module) -> dict[str, Any]:
    return {
        name: plain_settings(value)
        for name, value in vars(module).items()
        if not name.startswith("_") and name not in _WITHOUT_EFFECT and name not in vars(nn.Module())
        if name != "forward"
    }
