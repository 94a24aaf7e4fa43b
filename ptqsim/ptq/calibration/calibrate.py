"""Calibration: find the formats of every operation of a network (PTQ4ViT Algorithm 1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

import ptqsim as pq
from ptqsim.common.progress import Progress, silent
from ptqsim.common.validation import checked_bool, checked_integer, checked_path, checked_seed, checked_type
from ptqsim.errors import ArgumentTypeError
from ptqsim.ptq.calibration.combinations import check_combination
from ptqsim.ptq.calibration.folds.protocol import Fold, fold
from ptqsim.ptq.calibration.layer_cache import LayerCache
from ptqsim.ptq.calibration.layerwise import Bits, Layerwise
from ptqsim.ptq.calibration.methods import Method, make_method, variant_of
from ptqsim.ptq.calibration.mixed_precision import MixedPrecision, assign_bits
from ptqsim.ptq.calibration.operand_rules import Granularity, OperandRules, checked_formats
from ptqsim.ptq.calibration.reconstruction.reconstruct import reconstruct
from ptqsim.ptq.calibration.rounding.fit import Fit, FitMethod
from ptqsim.ptq.calibration.selection import Selection
from ptqsim.ptq.datasets.batches import as_images
from ptqsim.ptq.integer_only.build import build_plan, check_units
from ptqsim.ptq.integer_only.options import Given, IntegerOnly
from ptqsim.ptq.network.admission.float_check import check_float
from ptqsim.ptq.network.admission.given import check_network, check_values, default_modes, ordinary
from ptqsim.ptq.network.quantized_model import QuantizedModel, check_images, run_as_fitted
from ptqsim.ptq.search.capture import Captured


@default_modes()
def calibrate(
    model: nn.Module,
    images: torch.Tensor | DataLoader[Any] | Dataset[Any],
    *,
    method: str | Method = "ptq4vit",
    w_bits: int = 8,
    a_bits: int = 8,
    num_images: int | None = None,
    seed: int = 0,
    variant: str = "paper",
    w_granularity: Granularity | str = Granularity.TENSOR,
    a_symmetric: bool = True,
    formats: Mapping[str, str] | None = None,
    fit_accumulator: pq.Accumulator | None = None,
    fit: FitMethod | str = FitMethod.COMPENSATE,
    mixed_precision: MixedPrecision | None = None,
    state: str | Path | None = None,
    captured: Captured | None = None,
    folds: Sequence[Fold] = (),
    integer_only: bool = False,
    residual_bits: int = 16,
    softmax: Given = None,
    gelu: Given = None,
    layer_norm: Given = None,
    residual_scale: str | float = "free",
    progress: Progress = silent,
    **options: Any,
) -> QuantizedModel:
    """Quantize a network after training, from a few unlabeled images.

    Computation takes place on the device of the model.

    Parameters
    ----------
    model : nn.Module
        A vision transformer of timm (docs/models.md); it is left as it is. Its parameters are float32 or float64.
    images : float tensor [N, C, H, W], DataLoader or Dataset
        Calibration images, preprocessed as the model expects, in the type of its parameters. Batches of a DataLoader
        and items of a Dataset are images, or tuples that begin with them, such as pairs of images and labels.
    method : str or Method
        ``"percentile"``, ``"easyquant"``, ``"base_ptq"``, ``"bit_split"``, ``"liu2021"``, ``"ptq4vit"``,
        ``"reconstruct"``, or the preset ``"ptq4vit_plus"``; or an object of a method's class, such as
        ``ptq.PTQ4ViT(rounds=2)``.
    w_bits, a_bits : int
        Width of weights and activations, 2 to 16.  Both operands of Q K^T and P V are activations.
    num_images : int, optional
        Number of images to take from a DataLoader, in its order, or to draw from a Dataset by the seed; by default all.
    seed : int
        Seed of everything random in the method.
    variant : str
        ``"paper"``, or ``"released"`` for what PTQ4ViT's released code does instead.
    w_granularity : Granularity or {"tensor", "channel"}
        Number of scales of a weight: one (in a qkv layer one for each of W_Q, W_K and W_V), as in the papers, or one
        for each output channel, in the same search space and by the same objective, taken of the channel
        (docs/calibration.md).
    a_symmetric : bool
        True for signed activations that stand for as much on either side of zero, as in the papers.  False for
        unsigned ones with a zero point, which is searched as the scale is; after softmax it is 0, and twin formats
        stay (docs/calibration.md).
    formats : mapping, optional
        Names of the formats of some kinds of operands, in place of the method's: of activations after ``softmax``,
        after ``gelu``, of every other ``activation`` and of each ``weight``.  Names are ``uniform``, ``asymmetric``,
        ``twin``, ``log2``, ``log_sqrt2``, ``log_root4``, ``adaptive_log``, ``e4m3``, ``e5m2``, ``e3m4``, ``e3m2``,
        ``e2m3`` and ``e2m1``; the last six have widths of their own (docs/calibration.md).
    fit_accumulator : ptqsim.Accumulator, optional
        Choose codes of weights with which no input can overflow this accumulator (docs/fitted_weights.md); layers with
        weights then run on it, whatever its overflow mode.  Products of activations, Q K^T and P V, are not fitted.
    fit : FitMethod or {"compensate", "project"}
        The way to such codes: rounding with compensation of the error on the calibration images, or the nearest.
    mixed_precision : MixedPrecision, optional
        Choose the width of every MSA and MLP module; ``w_bits``, which ``a_bits`` has to equal, is then the target.
    state : path, optional
        A folder in which every layer is kept when it is finished.  An interrupted calibration, called again, goes on
        after the last of them and gives the same bits; the folder can be deleted once it is done.
    captured : Captured, optional
        The result of :func:`ptqsim.ptq.capture` for this model and these images, to share one capture among several
        calibrations.
    folds : sequence of Fold
        Exact transformations of the float network that are made first, such as ``[ptq.Smoothing(power=0.5)]``.  Float
        mode then equals the original network but for rounding.
    integer_only : bool
        Whether to make an integer-only network too, for mode ``"integer_only"`` (docs/integer_only.md).  Ranges that
        have no format yet are taken from one more pass of the images.
    residual_bits, softmax, gelu, layer_norm, residual_scale : optional
        Width and units of the integer-only network; see :class:`ptqsim.ptq.IntegerOnly`.
    progress : callable
        Called with the number of finished layers, the number of all layers, and the name of the last finished layer.
    **options : object
        Options of the method by name; see the fields of its class in :mod:`ptqsim.ptq.calibration.methods`.  All have
        ``paradigm`` and ``bias_correction``.

    Returns
    -------
    QuantizedModel
        In mode ``fake_quant``.

    Raises
    ------
    TypeError
        For a model that is no nn.Module, images or a method of another type, options beside a method's object, and
        widths that are no integers.
    ValueError
        For unknown methods or options, widths out of range, images or parameters that are not finite, a model with an
        operation that is not supported, or a layer that does not compute what its class says, is never run, or runs
        twice; and for weights that ``fit_accumulator`` leaves nothing of.
    """
    chosen = make_method(method, options, variant)
    units = IntegerOnly.of(residual_bits, softmax, gelu, layer_norm, residual_scale)
    integer_only = checked_bool("integer_only", integer_only)
    seed = checked_seed(seed)
    if mixed_precision is not None:
        checked_type("mixed_precision", mixed_precision, MixedPrecision, "such as ptq.MixedPrecision()")
    if captured is not None:
        checked_type("captured", captured, Captured, "what ptq.capture returned")
    if not callable(progress):
        raise ArgumentTypeError(f"progress is {progress!r}; legal is a function of layers done, all layers and a name")
    folder = None if state is None else checked_path("state", state)
    granularity = Granularity.of(w_granularity, "w_granularity")
    a_symmetric = checked_bool("a_symmetric", a_symmetric)
    if not a_symmetric and chosen.symmetric_only is not None:
        raise ValueError(
            f"a_symmetric is False, and method {chosen.name!r} of variant {variant_of(chosen)!r} takes symmetric "
            f"activations only, {chosen.symmetric_only}; legal is True, or another variant: try variant='paper'"
        )
    fit = FitMethod.of(fit, "fit")
    if fit_accumulator is not None:
        checked_type("fit_accumulator", fit_accumulator, pq.Accumulator, "such as ptqsim.Accumulator(16)")
    fitted = None if fit_accumulator is None else Fit(fit_accumulator, fit)
    images = as_images(images, num_images, seed)
    w_bits, a_bits = (
        checked_integer(name, bits, 2, 16, "try 8, 6 or 4") for name, bits in (("w_bits", w_bits), ("a_bits", a_bits))
    )
    rules = OperandRules(granularity, a_symmetric, checked_formats(formats, granularity, w_bits, a_bits), fitted)
    check_combination(chosen, rules, integer_only=integer_only)
    if mixed_precision is not None and w_bits != a_bits:
        raise ValueError(
            f"mixed precision was asked for with w_bits={w_bits} and a_bits={a_bits}; legal is the same width for "
            "both, as weights and inputs of a module share theirs (Liu et al. section 3.3)"
        )
    check_network(model)
    check_images(images, model)
    check_values(model)
    images = ordinary(images)
    if folds and captured is not None:
        raise ValueError(
            "folds and a capture were given, and the capture is of the network before it is folded; legal is one of "
            "them: leave captured out"
        )
    model, foldings = fold(model, images, folds)
    kept = LayerCache(folder)
    info: dict[str, Any] = {
        "method": chosen.name,
        "variant": variant_of(chosen),
        "w_bits": w_bits,
        "a_bits": a_bits,
        "seed": seed,
    }
    info |= rules.about() | {"images": len(images), "ptqsim": pq.__version__}
    if folds:
        info["folds"] = [{"fold": one.name, **asdict(one)} for one in folds]  # type: ignore[call-overload]
    with Layerwise(model, images, seed, kept, captured, rules) as layerwise:
        check_float(model, layerwise.quantized.model, images)
        if integer_only:
            check_units(layerwise.quantized.model, images.shape[1])
        widths: Bits = dict.fromkeys(layerwise.quantized.layers, (w_bits, a_bits))
        chosen, trail = chosen.prepare(Selection(model, images, widths, seed, kept, progress, rules))
        if trail is not None:
            info["selection"] = trail
        info["options"] = asdict(chosen)  # type: ignore[call-overload]
        if mixed_precision is not None:
            widths, info["mixed_precision"] = assign_bits(mixed_precision, model, layerwise, chosen, w_bits, progress)
        results = layerwise.run(chosen, widths, progress)
        key = layerwise.key(chosen, widths)
    quantized = QuantizedModel(model)
    quantized.foldings = tuple(foldings)
    for name, result in results.items():
        result.apply(quantized.layers[name])
    if chosen.reconstruction is not None:
        info["reconstruction"] = reconstruct(quantized, model, images, chosen.reconstruction, seed, kept, key, progress)
    quantized.info = info
    quantized.mode = "fake_quant"
    run_as_fitted(quantized)
    if integer_only:
        quantized.plan = build_plan(quantized, images, units)
        quantized.info["integer_only"] = units.to_dict()
    return quantized
