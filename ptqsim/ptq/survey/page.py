"""The page of documentation that verdicts make: families with counts, and every architecture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ptqsim.ptq.survey.verdict import Verdict

_HEAD: Final = """# Models of timm

<!-- Made by `make docs-models`, or from kept verdicts by
     `ptqsim models --from docs/models/timm.json --page docs/models.md`. -->

Of the {total} architectures of timm {version} that are no plain convolutional networks, **{working}** can be quantized
({share:.0f} %): every matrix product of theirs is an operation with formats of its own, in float, fake quantization and
integers.  `ptqsim models --check` finds out, and counts:

1. Every architecture is built without values, at its own size. Those whose modules have the same classes and options
   differ in size only.
2. Of these the smallest is run as timm gives it, under a watch that counts the products asked of torch (fully-connected
   layers, convolutions, `matmul`, `einsum`, fused attention), and once more wrapped, under a watch that refuses a
   product outside of an operation. Both counts have to agree.
3. It is built with random weights, few blocks and a small image where its options allow them, and calibrated on two
   images of noise. Float mode has to give the bits of the original; what is said to be a probability has to be one;
   integer mode has to be finite, with no product beside the operations; and a sample of the outputs of every operation
   is recomputed by the reference in Python integers.

Accuracy is not checked here: there are no weights. What a product is quantized by follows from its module:

- Q K^T and P V have one group per head, and P the format for probabilities (`softmax`). Other products of attention,
  such as those of linear attention or with relative positions, are uniform.
- The input of a layer right behind a GELU has the format for that; behind SiLU, ReLU or Hardswish it is uniform.
- A convolution in groups has one group of formats per group, so that every channel of a depthwise convolution has its
  own scale.
- A layer with a standardized weight (`StdConv2d`) is quantized as standardized.

```python
>>> import timm
>>> import torch
>>> from ptqsim import ptq
>>> network = timm.create_model("test_vit", num_classes=10).eval()
>>> quantized = ptq.calibrate(network, torch.randn(2, 3, 160, 160), method="percentile")
>>> quantized.mode = "integer"
>>> quantized(torch.randn(1, 3, 160, 160)).shape
torch.Size([1, 10])

```

| family | architectures | work | the first that stands against the others |
| --- | ---: | ---: | --- |
"""


def page_of(version: str, verdicts: Mapping[str, Verdict]) -> str:
    """Verdicts in Markdown.

    Parameters
    ----------
    version : str
        Of timm.
    verdicts : mapping of str to Verdict
        By architecture; not empty.
    """
    families: dict[str, dict[str, Verdict]] = {}
    for name, verdict in verdicts.items():
        families.setdefault(verdict.family, {})[name] = verdict
    working = sum(verdict.works for verdict in verdicts.values())
    text = _HEAD.format(
        total=len(verdicts), version=version, working=working, share=100 * working / max(len(verdicts), 1)
    )
    for family, members in sorted(families.items()):
        works = sum(verdict.works for verdict in members.values())
        reason = next((verdict.refused for verdict in members.values() if verdict.refused), "")
        text += f"| {family} | {len(members)} | {works} | {_cell(reason)} |\n"
    for family, members in sorted(families.items()):
        text += f"\n## {family}\n\n"
        text += _listed(members)
    return text


def _listed(members: Mapping[str, Verdict]) -> str:
    """Architectures of one family: those that work by what was run for them, the others by what stands against them."""
    by_run: dict[str, list[str]] = {}
    by_fault: dict[str, list[str]] = {}
    for name, verdict in sorted(members.items()):
        kinds = by_fault if verdict.refused else by_run
        kinds.setdefault(verdict.refused or f"{verdict.run} ({verdict.products} products)", []).append(name)
    lines = [f"- run as {run}: {_names(names)}" for run, names in by_run.items()]
    lines += [f"- **refused**, {_cell(fault)}: {_names(names)}" for fault, names in by_fault.items()]
    return "\n".join(lines) + "\n"


def _names(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _cell(reason: str) -> str:
    """The beginning of a refusal, up to the advice that it ends with."""
    return reason.partition(", which is not supported")[0].partition(": ")[0].partition(", and one format")[0]
