"""The work of a study, as a worker does it: calibrate a network, evaluate a calibrated one on a datapath."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import ptqsim as pq
from ptqsim import ptq
from ptqsim.common import fingerprint
from ptqsim.datapath.order import parse_order
from ptqsim.ptq.calibration.methods import make_method
from ptqsim.ptq.calibration.operand_rules import read_kinds
from ptqsim.ptq.evaluation.summary import format_facts, weight_bits
from ptqsim.ptq.integer_only.build import build_plan, check_units
from ptqsim.ptq.integer_only.options import read_unit
from ptqsim.ptq.network.products.execute import OverflowCount
from ptqsim.ptq.network.products.operations import OperandFormats
from ptqsim.ptq.threads import settle_on_one_thread
from ptqsim.sweep.work.code import code_version
from ptqsim.sweep.work.content import CachePlace, ContentCache, MissingContent
from ptqsim.sweep.work.sources import BATCH, OpenSource, StudySource
from ptqsim.sweep.work.task import WorkTask

if TYPE_CHECKING:
    import torch
    from torch import nn

WIDEST: Final = 48
"""Bits of an accumulator in which nothing overflows, to observe how many are needed."""


def measure(task: WorkTask) -> Mapping[str, Any]:
    """Measurement of one task of a study."""
    settle_on_one_thread()
    payload = task.payload
    if payload["code"] != code_version():
        raise ValueError(
            "this worker runs other code than the client, or other versions of Python or of packages that compute "
            "(ptqsim.common.fingerprint): install the same on both"
        )
    place = CachePlace(**payload["cache"])
    cache = place.open()
    source = _opened(StudySource(**payload["source"]), cache)
    if task.kind == "calibration":
        return _calibrate(payload, source, cache, shared=place.is_shared)
    return _evaluate(payload, source, cache)


_sources: list[OpenSource] = []
"""The source of the last task."""
_captured: list[tuple[Any, ptq.Captured]] = []
"""The capture of the last calibration, and what it was made from."""


def _opened(source: StudySource, cache: ContentCache) -> OpenSource:
    if not _sources or _sources[0].source != source:
        _sources[:] = [OpenSource(source, cache)]
    return _sources[0]


def _calibrate(payload: Mapping[str, Any], source: OpenSource, cache: ContentCache, *, shared: bool) -> dict[str, Any]:
    """Keep the calibrated network in the cache; facts of its layers, and the file where the client doesn't see it."""
    name = payload["file"]
    network = source.network
    chosen = payload["images"], payload["seed"], payload["content"]
    base = payload["base"]
    cache.folder.mkdir(parents=True, exist_ok=True)
    if not cache.has(base):
        images = source.calibration_images(*chosen)
        if name != base:
            check_units(ptq.QuantizedModel(network).model, images.shape[1])
        kept = ptq.LayerCache(cache.folder / f"layers-{name}")
        made = ptq.calibrate(
            network,
            images,
            method=payload["method"],
            variant=payload["variant"],
            w_bits=payload["w_bits"],
            a_bits=payload["a_bits"],
            seed=payload["seed"],
            w_granularity=payload["w_granularity"],
            a_symmetric=payload["a_symmetric"],
            formats=read_kinds(payload["formats"]),
            state=kept.folder,
            captured=_capture(payload, source, network, images),
            **payload["options"],
        )
        made.info |= {"model": source.source.name, "data": source.source.calibration_data}
        made.info["data_fingerprint"] = payload["content"]
        if source.source.options:
            made.info["model_options"] = dict(source.source.options)
        made.save(cache.path(base))
        kept.remove()
    if not cache.has(name):
        made = ptq.load(cache.path(base), network)
        units: dict[str, Any] = {unit: read_unit(payload[unit]) for unit in ("softmax", "gelu", "layer_norm")}
        residual = {name: payload[name] for name in ("residual_bits", "residual_scale")}
        options = ptq.IntegerOnly.of(**residual, **units)
        made.plan = build_plan(made, source.calibration_images(*chosen), options)
        made.info["integer_only"] = options.to_dict()
        made.save(cache.path(name))
    quantized = ptq.load(cache.path(name), network)
    one_image = source.calibration_images(*chosen)[:1]
    values = {"layers": layer_facts(quantized, one_image), "weight_bits": weight_bits(quantized)}
    return values if shared else values | {"file": cache.path(name).read_bytes()}


def _capture(
    payload: Mapping[str, Any], source: OpenSource, network: nn.Module, images: torch.Tensor
) -> ptq.Captured | None:
    """One capture, with the gradients of pseudo-labels, for every method that needs these or none."""
    method = make_method(payload["method"], payload["options"], payload["variant"])
    if not method.served_by(ptq.Gradient.PSEUDO_LABEL):
        return None
    about = (source.source, payload["images"], payload["seed"], payload["content"])
    if not _captured or _captured[0][0] != about:
        for _, previous in _captured:
            previous.close()
        _captured[:] = [(about, ptq.capture(network, images, seed=payload["seed"]))]
    return _captured[0][1]


def layer_facts(quantized: ptq.QuantizedModel, images: torch.Tensor) -> list[dict[str, Any]]:
    """Facts on every layer: kind, formats, products per image, and the bounds that hold for every input."""
    quantized.mode = "integer"
    _count_exactly(quantized)
    quantized(images)
    facts = []
    for name, op in quantized.layers.items():
        bounds = {bound: found.bits for bound, found in op.bounds.items() if bound != "calibrated"}
        macs = op.integer.overflow.computed * op.depth // len(images)
        facts.append({"layer": name, "kind": op.kind, "depth": op.depth, "macs": macs, **format_facts(op), **bounds})
    return facts


def _count_exactly(quantized: ptq.QuantizedModel, alignment: str = "product") -> None:
    quantized.accumulator = quantized.as_calibrated(pq.Accumulator(bits=WIDEST, alignment=alignment))
    quantized.statistics = True
    for op in quantized.layers.values():
        op.integer.overflow = OverflowCount()


def _evaluate(payload: Mapping[str, Any], source: OpenSource, cache: ContentCache) -> dict[str, Any]:
    """Accuracy of one point; of an exact one the width that every layer needed on the images, too."""
    datapath = payload["datapath"]
    model: nn.Module | ptq.QuantizedModel = source.network
    if payload["file"] is not None:
        if not cache.has(payload["file"]):
            raise MissingContent((payload["file"],))
        model = ptq.load(cache.path(payload["file"]), source.network)
        _set(model, datapath)
    images = source.validation(payload["first"], payload["images"], payload["content"])
    found = ptq.evaluate(model, images, batch=BATCH)
    values: dict[str, Any] = {
        "top1": found.top1,
        "cross_entropy": found.cross_entropy,
        **_divergence(found, source, payload, images),
        "logits_sha256": fingerprint.data(found.logits.contiguous().numpy()),
    }
    if (
        isinstance(model, ptq.QuantizedModel)
        and model.statistics
        and not any(op.has_blocks for op in model.layers.values())
    ):
        values["observed"] = {name: op.integer.overflow.bits_needed for name, op in model.layers.items()}
    return values


def _divergence(
    found: ptq.Evaluation, source: OpenSource, payload: Mapping[str, Any], images: ptq.Dataset
) -> dict[str, float | None]:
    """Divergence from the float network, with its standard error (None for one image), and the agreement."""
    exact = source.float_logits(images, payload["content"])
    gap = ptq.difference(found, ptq.Evaluation(exact, found.labels)).metrics
    return {name: value if math.isfinite(value) else None for name, value in gap.items()}


def _set(quantized: ptq.QuantizedModel, datapath: Mapping[str, Any]) -> None:
    """Put a calibrated network on a datapath."""
    for kind in ("softmax", "gelu"):
        if (shift := datapath[f"{kind}_shift"]) is not None:
            _reshift(quantized, kind, shift)
    quantized.mode = datapath["mode"]
    if datapath["mode"] not in ("integer", "integer_only"):
        return
    if datapath["acc_bits"] is None and not datapath["widths"]:
        _count_exactly(quantized, datapath["alignment"])
        return
    widths = dict(datapath["widths"])
    if datapath["layer"] is not None:
        widths = {datapath["layer"]: datapath["acc_bits"]}
    elif not widths:
        widths = dict.fromkeys(quantized.layers, datapath["acc_bits"])
    order = parse_order(datapath["order"])
    quantized.accumulator = quantized.as_calibrated(pq.Accumulator(bits=WIDEST, alignment=datapath["alignment"]))
    for name, bits in widths.items():
        quantized.accumulators[name] = replace(
            quantized.accumulators[name], bits=bits, overflow=datapath["overflow"], order=order
        )


def _reshift(quantized: ptq.QuantizedModel, kind: str, shift: int) -> None:
    """Another m for the twin formats after softmax or GELU; R2 after softmax and R1 after GELU stay."""
    for op in quantized.layers.values():
        if op.a_kind == kind and op.formats is not None:
            a = tuple(
                replace(fmt, shift=shift) if isinstance(fmt, pq.TwinSoftmax | pq.TwinGELU) else fmt
                for fmt in op.formats.a
            )
            op.formats = OperandFormats(a, op.formats.b)
