"""The methods of the comparison: what each is called, and how it is calibrated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

from ptqsim import ptq
from ptqsim.errors import unknown_name


@dataclass(frozen=True)
class Entry:
    """One line of the comparison.

    Attributes
    ----------
    name : str
        Key of the line.
    label : str
        As printed.
    method : str
    options : mapping
        Of the method.
    variant : str
    mixed : mapping or None
        Options of mixed precision, or None for the same width everywhere.
    folds : tuple of Fold
        Made in the float network first.
    w_granularity : str
        Scales of a weight: ``"tensor"`` or ``"channel"``.
    a_symmetric : bool
        False for activations with zero points.
    formats : tuple of pairs of str
        Kinds of operands, and names of the formats that they have in place of the method's.
    """

    name: str
    label: str
    method: str
    options: Mapping[str, Any] = field(default_factory=dict)
    variant: str = "paper"
    mixed: Mapping[str, Any] | None = None
    folds: tuple[ptq.Fold, ...] = ()
    w_granularity: str = "tensor"
    a_symmetric: bool = True
    formats: tuple[tuple[str, str], ...] = ()

    def key(self) -> dict[str, Any]:
        """Everything that decides the result, as JSON values."""
        mixed = None if self.mixed is None else dict(self.mixed)
        key: dict[str, Any] = {
            "method": self.method,
            "options": dict(self.options),
            "variant": self.variant,
            "mixed": mixed,
        }
        if self.folds:
            key["folds"] = [asdict(fold) for fold in self.folds]  # type: ignore[call-overload]
        if self.w_granularity != "tensor":
            key["w_granularity"] = self.w_granularity
        if not self.a_symmetric:
            key["a_symmetric"] = False
        if self.formats:
            key["formats"] = dict(self.formats)
        return key

    def mixed_precision(self) -> ptq.MixedPrecision | None:
        """The mixed precision asked for."""
        return None if self.mixed is None else ptq.MixedPrecision(**self.mixed)

    @classmethod
    def of_preset(cls, preset: ptq.Preset) -> Entry:
        """The line of a preset, with those options of its method that are not its defaults."""
        options = {
            field.name: value
            for field in fields(preset.method)  # type: ignore[arg-type]
            if (value := getattr(preset.method, field.name)) != field.default
        }
        return cls(
            f"preset.{preset.name}",
            f"{preset.title} (preset)",
            preset.method.name,
            options,
            folds=preset.folds,
            w_granularity=str(preset.w_granularity),
            a_symmetric=preset.a_symmetric,
            formats=preset.formats,
        )


_SIMILARITY: Final = {"ranking": False, "bias_correction": False}

_NO_TWINS: Final = {"softmax_twin": False, "gelu_twin": False}
_CHANNEL: Final[Mapping[str, Any]] = {"w_granularity": "channel"}
_ASYMMETRIC: Final[Mapping[str, Any]] = {"w_granularity": "channel", "a_symmetric": False}

ENTRIES: Final[dict[str, Entry]] = {
    entry.name: entry
    for entry in (
        Entry("percentile", "Percentile", "percentile"),
        Entry("easyquant", "EasyQuant", "easyquant"),
        Entry("base_ptq", "Base PTQ", "base_ptq"),
        Entry("bit_split", "Bit-Split", "bit_split"),
        # Liu et al. Table 3
        Entry("liu2021.similarity", "Liu: similarity", "liu2021", _SIMILARITY),
        Entry("liu2021.ranking", "Liu: + ranking", "liu2021", {"bias_correction": False}),
        Entry("liu2021.bias", "Liu: + bias correction", "liu2021", {"ranking": False}),
        Entry("liu2021", "Liu: + both", "liu2021"),
        Entry("liu2021.parallel", "Liu, in parallel", "liu2021", {"paradigm": "parallel"}),
        Entry("liu2021.mixed", "Liu + MP (nuclear norm)", "liu2021", mixed={}),
        Entry("liu2021.mixed_hessian", "Liu + MP (Hessian)", "liu2021", mixed={"sensitivity": "hessian"}),
        # PTQ4ViT Table 3, Table 2, and the control of its metric
        Entry("ptq4vit.hessian", "PTQ4ViT: Hessian", "ptq4vit", {"softmax_twin": False, "gelu_twin": False}),
        Entry("ptq4vit.softmax", "PTQ4ViT: Hessian, softmax twin", "ptq4vit", {"gelu_twin": False}),
        Entry("ptq4vit.gelu", "PTQ4ViT: Hessian, GELU twin", "ptq4vit", {"softmax_twin": False}),
        Entry("ptq4vit.twin", "PTQ4ViT: twins, cosine", "ptq4vit", {"hessian_guided": False}),
        Entry("ptq4vit.random", "PTQ4ViT: random gradient", "ptq4vit", {"gradient": "random"}),
        Entry("ptq4vit.sampled", "PTQ4ViT: sampled labels", "ptq4vit", {"gradient": "sampled"}),
        Entry("ptq4vit", "PTQ4ViT", "ptq4vit"),
        Entry("ptq4vit.released", "PTQ4ViT, released code", "ptq4vit", variant="released"),
        Entry("ptq4vit.sequential", "PTQ4ViT, in sequence", "ptq4vit", {"paradigm": "sequential"}),
        Entry("ptq4vit.nearest", "PTQ4ViT: nearest range", "ptq4vit", {"range_choice": "nearest"}),
        Entry("ptq4vit.covering", "PTQ4ViT: covering GELU pair", "ptq4vit", {"gelu_pair": "covering"}),
        Entry(
            "ptq4vit.smoothing", "PTQ4ViT + smoothing", "ptq4vit", folds=(ptq.Smoothing(power=0.5, weight_power=0.5),)
        ),
        Entry("ptq4vit.channel", "PTQ4ViT, weights per channel", "ptq4vit", w_granularity="channel"),
        Entry("ptq4vit.bias", "PTQ4ViT + BC", "ptq4vit", {"bias_correction": True}),
        Entry("ptq4vit.mixed", "PTQ4ViT + MP (nuclear norm)", "ptq4vit", mixed={}),
        Entry("ptq4vit.mixed_hessian", "PTQ4ViT + MP (Hessian)", "ptq4vit", mixed={"sensitivity": "hessian"}),
        Entry("ptq4vit_plus", "PTQ4ViT+", "ptq4vit_plus"),
        Entry("ptq4vit.gptq", "PTQ4ViT, per channel, GPTQ", "ptq4vit", {"weight_rounding": "gptq"}, **_CHANNEL),
        Entry("base_ptq.channel", "Base PTQ, weights per channel", "base_ptq", w_granularity="channel"),
        *(
            Entry(f"{method}.asymmetric", f"{name}, asymmetric too", method, **_ASYMMETRIC)
            for method, name in (("base_ptq", "Base PTQ"), ("ptq4vit", "PTQ4ViT"), ("reconstruct", "Reconstruction"))
        ),
        *(
            Entry(f"{method}.uniform", f"{name}, asymmetric, no twins", method, _NO_TWINS, **_ASYMMETRIC)
            for method, name in (("ptq4vit", "PTQ4ViT"), ("reconstruct", "Reconstruction"))
        ),
        Entry("reconstruct", "Reconstruction, weights per channel", "reconstruct", w_granularity="channel"),
        Entry(
            "reconstruct.fisher", "+ Fisher weights", "reconstruct", {"weighting": "fisher"}, w_granularity="channel"
        ),
        Entry("reconstruct.no_drop", "- random dropping", "reconstruct", {"drop": 0.0}, w_granularity="channel"),
        Entry("reconstruct.distill", "+ distillation", "reconstruct", {"distill": 1000}, w_granularity="channel"),
    )
}
"""In the order of the table."""


def entry(name: str) -> Entry:
    """The entry of that name; an unknown name is a ValueError that suggests the nearest."""
    if name not in ENTRIES:
        raise unknown_name("line of the comparison", name, ENTRIES)
    return ENTRIES[name]
