"""Tables of a calibration: formats of the layers, ties, and how a preset was chosen."""

from __future__ import annotations

from typing import Any

from ptqsim.cli.framework.output import Output
from ptqsim.cli.network.fit_options import show_fit


def show(out: Output, quantized: Any, title: str) -> None:
    from ptqsim import ptq

    out.table(
        ["layer", "kind", "formats of A", "formats of B", "score"],
        [
            [name, op.kind, ptq.describe(op.formats.a), ptq.describe(op.formats.b), _number(op.report["score"])]
            for name, op in quantized.layers.items()
        ],
        title=title,
    )
    _show_ties(out, quantized)
    show_fit(out, quantized)
    if places := list(quantized.datapaths.values()):
        corrected = sum(place == "correction" for place in places)
        out.note(
            f"zero points: corrected behind the multiplier in {corrected} layers, subtracted in front of it in "
            f"{len(places) - corrected}; --zero-point of simulate, verify and bounds takes another place"
        )
    if (mixed := quantized.info.get("mixed_precision")) is not None:
        sensitivity = mixed["sensitivity"]
        rows = [[name, bits, f"{sensitivity[name]:.4g}"] for name, bits in mixed["bits"].items()]
        out.table(["module", "bits", "sensitivity"], rows, title="Mixed precision")
        out.note(
            f"weights {mixed['model_size']:.4g} MB, at the same width everywhere {mixed['uniform_size']:.4g} MB; "
            f"Omega of the Pareto frontier is {mixed['omega']['pareto']:.6g}, {100 * mixed['gap']:.2g} % above the "
            f"optimum, {mixed['omega']['milp']:.6g}"
        )
    if (trail := quantized.info.get("selection")) is not None:
        rows = [
            [
                ", ".join(f"{k}={v}" for k, v in step["added"].items()) or "start",
                _number(step["divergence"], ".4f"),
                step["kept"],
            ]
            for step in trail
        ]
        out.table(["added", "held-out KL", "kept"], rows, title="Choice of the preset, on calibration images held out")


def _number(value: float | None, spec: str = ".4g") -> str:
    return "not finite" if value is None else format(value, spec)


def _show_ties(out: Output, quantized: Any) -> None:
    """Table of the operands for which the method's objective could not decide, and of what decided instead."""
    rows = [
        [
            name,
            tie["operand"].upper() + ("" if tie["group"] is None else f", group {tie['group']}"),
            op.report["objective"],
            f"{tie['reason']} ({tie['tied']} of {tie['of']} candidates tied)",
            tie["decided_by"],
        ]
        for name, op in quantized.layers.items()
        for tie in op.report.get("ties", [])
    ]
    if rows:
        out.table(["layer", "operand", "objective", "could not decide, as", "decided by"], rows, title="Ties")
    fallback = quantized.info.get("mixed_precision", {}).get("fallback")
    if fallback is not None:
        out.note(f"widths were chosen by {fallback['decided_by']}: {fallback['reason']}")
