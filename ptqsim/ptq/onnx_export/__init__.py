"""A calibrated model as an ONNX file with QuantizeLinear and DequantizeLinear, and its check against ONNX Runtime.

The packages of the extra ``[onnx]`` are imported when one of the two functions is called, not before.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ptqsim.common.progress import Progress, silent
from ptqsim.common.validation import checked_path
from ptqsim.ptq.network.quantized_model import QuantizedModel
from ptqsim.ptq.onnx_export.operands import OtherFormats as OtherFormats
from ptqsim.ptq.onnx_export.report import ExportReport as ExportReport
from ptqsim.ptq.onnx_export.report import IntegerExport as IntegerExport
from ptqsim.ptq.onnx_export.report import IntegerOnnxCheck as IntegerOnnxCheck
from ptqsim.ptq.onnx_export.report import LayerCheck as LayerCheck
from ptqsim.ptq.onnx_export.report import LayerExport as LayerExport
from ptqsim.ptq.onnx_export.report import LogitDifference as LogitDifference
from ptqsim.ptq.onnx_export.report import OnnxCheck as OnnxCheck

if TYPE_CHECKING:
    import torch


def export_onnx(
    quantized: QuantizedModel, path: str | Path, *, other_formats: OtherFormats | str = OtherFormats.EXPLICIT
) -> ExportReport:
    """Write a calibrated model as an ONNX file.

    Every operand in a uniform format is a QuantizeLinear and a DequantizeLinear (a weight: its stored codes and a
    DequantizeLinear) with the calibrated scales and zero points of 0; docs/onnx.md has the details.

    Parameters
    ----------
    quantized : QuantizedModel
        A model with formats; it is left as it is.
    path : path
        The file to write.
    other_formats : OtherFormats or {"explicit", "float"}
        Form of operands whose formats QuantizeLinear cannot express (twin formats).  ``explicit`` writes them
        out in standard operators, so that the file computes what the calibrated model does; ``float`` leaves them
        unquantized.  Either way the report and the file's metadata name them.

    Returns
    -------
    ExportReport
        The form in which each operand of each layer was exported.

    Raises
    ------
    ValueError
        Where a layer has no formats, or ``other_formats`` is no such choice.
    ModuleNotFoundError
        Where the extra ``[onnx]`` is not installed.
    """
    from ptqsim.ptq.onnx_export.export import export

    chosen = OtherFormats.of(other_formats, "choice for other formats")
    return export(quantized, checked_path("the ONNX file", path), chosen)


def check_onnx(
    quantized: QuantizedModel,
    path: str | Path,
    images: torch.Tensor,
    *,
    batch: int = 4,
    progress: Progress = silent,
) -> OnnxCheck:
    """Compare ONNX Runtime's activations of an exported file with fake_quant mode, layer by layer.

    Parameters
    ----------
    quantized : QuantizedModel
        The model that was exported.
    path : path
        A file written by :func:`export_onnx`.
    images : float tensor [N, C, H, W]
    batch : int
        Images at a time.
    progress : callable
        Called with the images done and all images.

    Returns
    -------
    OnnxCheck
        Differences per layer and of the logits.

    Raises
    ------
    FileNotFoundError, ValueError
        Where there is no such file, or it was not exported from this model.
    ModuleNotFoundError
        Where the extra ``[onnx]`` is not installed.
    """
    from ptqsim.ptq.onnx_export.check import check

    return check(quantized, checked_path("the ONNX file", path), images, batch, progress)


def export_integer_onnx(quantized: QuantizedModel, path: str | Path) -> IntegerExport:
    """Write an integer-only network as an ONNX file of integer operators.

    It takes uint8 ``pixels`` [N, C, H, W] and gives int64 ``logits`` [N, classes] in units of
    ``quantized.logit_scale``; no value between them is a float. Every edge of the plan is a value of its name:
    codes as they are stored, integers as int64. docs/onnx.md has the details.

    Parameters
    ----------
    quantized : QuantizedModel
        Calibrated with ``integer_only=True``; its accumulators are those of the file.
    path : path
        The file to write.

    Returns
    -------
    IntegerExport
        The operators of the file.

    Raises
    ------
    ValueError
        Where the model has no integer-only network, or a product can overflow an accumulator that saturates or traps.
    ModuleNotFoundError
        Where the extra ``[onnx]`` is not installed.
    """
    from ptqsim.ptq.onnx_export.integer.export import export

    return export(quantized.required_plan(), checked_path("the ONNX file", path), dict(quantized.accumulators))


def check_integer_onnx(
    quantized: QuantizedModel,
    path: str | Path,
    images: torch.Tensor,
    *,
    batch: int = 4,
    progress: Progress = silent,
) -> IntegerOnnxCheck:
    """Run an ONNX file in ONNX Runtime and compare every integer of every edge with integer-only mode.

    Parameters
    ----------
    quantized, path : QuantizedModel and path
        The model that was exported, and what :func:`export_integer_onnx` wrote of it.
    images : uint8 tensor [N, C, H, W]
        Pixels.
    batch, progress : int and callable
        As for :func:`check_onnx`.

    Returns
    -------
    IntegerOnnxCheck
        Integers that differ, by edge.

    Raises
    ------
    FileNotFoundError, ValueError, ModuleNotFoundError
        As for :func:`check_onnx`.
    """
    from ptqsim.ptq.onnx_export.integer.check import check

    plan, accumulators = quantized.required_plan(), dict(quantized.accumulators)
    pixels = images.cpu().numpy()
    return check(plan, checked_path("the ONNX file", path), pixels, accumulators, batch, progress)
