"""The learner of a bundled classifier: labels, two auxiliary tasks and, for a distilled one, a teacher.

The auxiliary tasks make a small model learn in an hour on two cores what class labels alone teach in many: the pooled
features name each digit apart, and every token of the last map names what its patches show (token labeling, Jiang et
al., NeurIPS 2021).  Nothing here asks for a family: timm's networks say themselves what their pooled features and
their tokens are.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from ptqsim.ptq.datasets.scenes import SIZE

_SHOWN = 21  # what a patch can show: ten digits as tens, ten as units, neither


class Learner(nn.Module):
    """A model with the heads of its auxiliary tasks, which are dropped afterwards.

    Parameters
    ----------
    model : nn.Module
        A timm ViT, DeiT or Swin for scenes.
    teacher : nn.Module, optional
        For a model with a distillation token.
    temperature : float
        Of the soft distillation.
    """

    def __init__(self, model: nn.Module, teacher: nn.Module | None = None, temperature: float = 3.0) -> None:
        super().__init__()
        self.model = model
        self.temperature = temperature
        self._teacher = [] if teacher is None else [teacher.eval()]  # in a list: no part of what is trained and saved
        if teacher is not None:
            model.set_distilled_training(True)  # type: ignore[operator]
        with torch.no_grad():
            side = self._map(model.forward_features(torch.zeros(1, 3, SIZE, SIZE))).shape[1]  # type: ignore[operator]
        width: int = model.num_features  # type: ignore[assignment]
        self.digits = nn.Linear(width, 20)  # tens and units, from the pooled features
        self.covered = 8 // side  # patches per side that one token of the last map covers
        self.patches = nn.Linear(width, _SHOWN * self.covered**2)  # what each of them shows

    def loss(self, images: torch.Tensor, labels: torch.Tensor, patches: torch.Tensor, auxiliary: float) -> torch.Tensor:
        """Scalar loss of scenes [N, 3, 32, 32], labels [N] and patch labels [N, 64]."""
        tokens = self.model.forward_features(images)  # type: ignore[operator]
        logits = self.model.forward_head(tokens)  # type: ignore[operator]
        digits = self.digits(self.model.forward_head(tokens, pre_logits=True)).float()  # type: ignore[operator]
        apart = F.cross_entropy(digits[:, :10], labels // 10) + F.cross_entropy(digits[:, 10:], labels % 10)
        token = F.cross_entropy(self._shown(tokens).flatten(0, 2), patches.flatten())
        return self._of_classes(logits, images, labels) + auxiliary * (apart + token)

    def _of_classes(
        self, logits: torch.Tensor | Sequence[torch.Tensor], images: torch.Tensor, labels: torch.Tensor
    ) -> torch.Tensor:
        if isinstance(logits, torch.Tensor):
            return F.cross_entropy(logits.float(), labels)
        with torch.no_grad():
            taught = (self._teacher[0](images).float() / self.temperature).log_softmax(dim=-1)
        ours = (logits[1].float() / self.temperature).log_softmax(dim=-1)
        # the factor T^2 keeps the gradient's size independent of T (Hinton et al., 2015, Section 2)
        distilled = self.temperature**2 * F.kl_div(ours, taught, reduction="batchmean", log_target=True)
        return 0.5 * (F.cross_entropy(logits[0].float(), labels) + distilled)

    def _map(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens of the last map, [N, side, side, width]: Swin's as they are, ViT's without the prefix tokens."""
        if tokens.ndim == 4:
            return tokens
        prefix: int = self.model.num_prefix_tokens  # type: ignore[assignment]
        image = tokens[:, prefix:]
        side = round(image.shape[1] ** 0.5)
        return image.reshape(-1, side, side, image.shape[2])

    def _shown(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits [N, 8, 8, 21] of what every patch shows."""
        of_tokens: torch.Tensor = self.patches(self._map(tokens)).float()
        images, side = of_tokens.shape[:2]
        apart = of_tokens.reshape(images, side, side, self.covered, self.covered, _SHOWN)  # N, y, x, dy, dx, 21
        return apart.transpose(2, 3).reshape(images, side * self.covered, side * self.covered, _SHOWN)


def begin_as(teacher: nn.Module, student: nn.Module) -> None:
    """Give a distilled student the weights of a ViT of the same width, with as many of its blocks as the student has.

    The first block and the last are among them, the others evenly between.
    """
    own, given = student.state_dict(), teacher.state_dict()
    depth, blocks = len(student.blocks), len(teacher.blocks)  # type: ignore[arg-type]
    for key, tensor in own.items():
        head, place, rest = key.split(".", 2) if key.startswith("blocks.") else (key, "", "")
        source = f"{head}.{round(int(place) * (blocks - 1) / (depth - 1))}.{rest}" if place else key
        if source in given and given[source].shape == tensor.shape:
            tensor.copy_(given[source])
    own["pos_embed"][:, :1] = given["pos_embed"][:, :1]  # of the class token; the next is of the distillation token
    own["pos_embed"][:, 2:] = given["pos_embed"][:, 1:]
