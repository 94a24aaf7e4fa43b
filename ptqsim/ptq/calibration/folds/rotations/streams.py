"""The residual streams of a network, with everything that writes and reads them, where a rotation of them is exact."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import nn

from ptqsim.ptq.calibration.folds.attentions import plain_attentions
from ptqsim.ptq.calibration.folds.uses import FoldableNorm, foldable_norms
from ptqsim.ptq.network.foldings.stream_rotation import StreamNorm
from ptqsim.ptq.network.timm_classes import timm_class

_VIT: Final = ("models.vision_transformer.VisionTransformer", "models.deit.VisionTransformerDistilled")
_SWIN: Final = ("models.swin_transformer.SwinTransformer",)
_BLOCKS: Final = ("models.vision_transformer.Block", "models.swin_transformer.SwinTransformerBlock")
_TOKENS: Final = ("cls_token", "dist_token", "reg_token", "pos_embed")
_SMALL: Final = 1e-3
"""Least gain, relative to the greatest, by which a bias that has to stay in its norm is divided."""


@dataclass
class Stream:
    """A residual stream: values that layers add to, and that nothing but LayerNorms reads.

    Attributes
    ----------
    channels : int
    norms : list of StreamNorm
    writers : list of str
    scales : list of pairs of str
        Layer scales, and the writer that each is behind.
    values : list of str
        Parameters that are added to it, and tokens.
    """

    channels: int
    norms: list[StreamNorm] = field(default_factory=list)
    writers: list[str] = field(default_factory=list)
    scales: list[tuple[str, str]] = field(default_factory=list)
    values: list[str] = field(default_factory=list)


class _OtherwiseError(Exception):
    """A stream that something else reads or writes."""


def streams(model: nn.Module, images: torch.Tensor) -> list[Stream]:
    """All residual streams of a network that can be rotated.

    These are those of timm's ViT and DeiT, and the stages of its Swin, if they consist of the modules that these
    classes have by default: pre-norm blocks with plain attention and a plain MLP, layer scale or none, and a linear
    head.  A stream that a norm writes to, such as that of Swin's first stage, is left out, as its gain cannot be
    rotated.  So is one whose end no linear layer reads, as in a feature extractor: its output would be rotated.

    Parameters
    ----------
    model : nn.Module
    images : float tensor [N, C, H, W]
        Images that the network is run on, to see what reads the norms.
    """
    kind = type(model)
    find = _vit if kind in _classes(_VIT) else _swin if kind in _classes(_SWIN) else None
    if find is None:
        return []
    found = []
    for build in find(model, _Network(model, images)):
        try:
            found.append(build())
        except _OtherwiseError:
            continue
    return found


class _Network:
    """A network's norms, its attention, and the layers that no other module shares."""

    def __init__(self, model: nn.Module, images: torch.Tensor) -> None:
        self.modules: Mapping[str, Any] = dict(model.named_modules())
        self.norms: dict[str, FoldableNorm] = {norm.name: norm for norm in foldable_norms(model, images)}
        self.attentions = {name for name, _ in plain_attentions(model)}
        self.users = Counter(id(p) for _, p in model.named_parameters(remove_duplicate=False))

    def own(self, name: str, *kinds: type[nn.Module]) -> Any:
        """The module of that name, if it is of one of these classes and its parameters are its own."""
        module = self.modules.get(name)
        if (
            module is None
            or type(module) not in kinds
            or any(self.users[id(p)] > 1 for p in module.parameters(recurse=False))
        ):
            raise _OtherwiseError
        return module

    def norm(self, name: str, channels: int, linears: tuple[str, ...] = ()) -> StreamNorm:
        """A LayerNorm over some channels, and its readers: those that were seen, or the ones given."""
        module = self.own(name, nn.LayerNorm, *_classes(["layers.norm.LayerNorm"]))
        if module.weight is None or module.normalized_shape != (channels,):
            raise _OtherwiseError
        if linears:
            for linear in linears:
                self.own(linear, nn.Linear)
            return StreamNorm(name, linears, moved=module.bias is not None)
        seen = self.norms.get(name)
        if seen is None:
            raise _OtherwiseError
        moved = seen.offset is not None
        gain = seen.gain.abs()
        if not moved and module.bias is not None and float(gain.min()) < _SMALL * float(gain.max()):
            raise _OtherwiseError
        return StreamNorm(name, seen.linears, moved)

    def is_identity(self, name: str) -> bool:
        """True if there is no module of that name, or it does nothing."""
        return isinstance(self.modules.get(name, nn.Identity()), nn.Identity)

    def add_block(self, stream: Stream, name: str) -> None:
        """Add everything of a transformer block that reads or writes the stream."""
        self.own(name, *_classes(_BLOCKS))
        self.own(f"{name}.mlp", *_classes(["layers.mlp.Mlp"]))
        if f"{name}.attn" not in self.attentions:
            raise _OtherwiseError
        for part, writer in (("1", f"{name}.attn.proj"), ("2", f"{name}.mlp.fc2")):
            self.own(writer, nn.Linear)
            stream.norms.append(self.norm(f"{name}.norm{part}", stream.channels))
            stream.writers.append(writer)
            if not self.is_identity(scale := f"{name}.ls{part}"):
                self.own(scale, *_classes(["layers.layer_scale.LayerScale"]))
                stream.scales.append((scale, writer))


def _vit(model: Any, network: _Network) -> Iterator[Callable[[], Stream]]:
    def build() -> Stream:
        stream = Stream(model.embed_dim)
        network.own("patch_embed", *_classes(["layers.patch_embed.PatchEmbed"]))
        network.own("patch_embed.proj", nn.Conv2d)
        plain = ("patch_embed.norm", "norm_pre", "attn_pool", "patch_drop")
        ends = [name for name in ("norm", "fc_norm") if not network.is_identity(name)]
        if not all(map(network.is_identity, plain)) or len(ends) != 1 or model.global_pool not in ("token", "avg"):
            raise _OtherwiseError
        stream.writers.append("patch_embed.proj")
        stream.values += [name for name in _TOKENS if isinstance(getattr(model, name, None), nn.Parameter)]
        for number in range(len(model.blocks)):
            network.add_block(stream, f"blocks.{number}")
        heads = tuple(name for name in ("head", "head_dist") if name in network.modules)
        stream.norms.append(network.norm(ends[0], stream.channels, heads))
        return stream

    yield build


def _swin(model: Any, network: _Network) -> Iterator[Callable[[], Stream]]:
    def build(stage: int) -> Stream:
        name = f"layers.{stage}"
        network.own(name, *_classes(["models.swin_transformer.SwinTransformerStage"]))
        blocks = model.layers[stage].blocks
        stream = Stream(blocks[0].dim)
        if stage == 0:
            network.own("patch_embed", *_classes(["layers.patch_embed.PatchEmbed"]))
            network.own("patch_embed.proj", nn.Conv2d)
            if not all(map(network.is_identity, ("patch_embed.norm", f"{name}.downsample"))):
                raise _OtherwiseError
            stream.writers.append("patch_embed.proj")
        else:
            network.own(f"{name}.downsample", *_classes(["models.swin_transformer.PatchMerging"]))
            network.own(f"{name}.downsample.reduction", nn.Linear)
            stream.writers.append(f"{name}.downsample.reduction")
        for number in range(len(blocks)):
            network.add_block(stream, f"{name}.blocks.{number}")
        if stage + 1 < len(model.layers):
            network.own(f"layers.{stage + 1}.downsample", *_classes(["models.swin_transformer.PatchMerging"]))
            stream.norms.append(network.norm(f"layers.{stage + 1}.downsample.norm", 4 * stream.channels))
        else:
            network.own("head", *_classes(["layers.classifier.ClassifierHead"]))
            if model.head.global_pool.pool_type != "avg" or not network.is_identity("head.flatten"):
                raise _OtherwiseError
            stream.norms.append(network.norm("norm", stream.channels, ("head.fc",)))
        return stream

    for stage in range(len(model.layers)):
        yield lambda stage=stage: build(stage)  # type: ignore[misc]


def _classes(paths: tuple[str, ...] | list[str]) -> tuple[type[nn.Module], ...]:
    return tuple(kind for path in paths if (kind := timm_class(path)) is not None)
