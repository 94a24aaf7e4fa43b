"""The learner of the bundled detector, which trains in an hour where DETR is known to need days.

DETR converges slowly, as its queries have to find out at once where to look, what is there, and who of them says so
(Carion et al., section 4; Meng et al., ICCV 2021).  What is done about it here touches training only; the network that
comes out is transformers' DETR.

- Batch norms normalize while they learn and are frozen afterwards; transformers' are frozen from the start, as it
  takes its backbones pretrained.
- Every token of the encoder says the class and the box of the object that it lies in.  So its features carry absolute
  positions, which attention's values else don't have, and a query need only look.
- Queries begin as the position encodings of points on a grid, and the keys and queries of cross-attention with the
  same projection: each query looks around its own point at first.
- Every decoder layer's output is matched and compared (auxiliary decoding losses, Carion et al., section 3.2).
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from ptqsim.ptq.network.detr.boxes import corners, generalized_iou
from ptqsim.ptq.network.detr.detector import Detector
from ptqsim.ptq.network.detr.loss import BOX_WEIGHT, GIOU_WEIGHT, Targets, match, matched_loss


class DetectionLearner(nn.Module):
    """A detector with the heads of its auxiliary task, which are dropped afterwards.

    Parameters
    ----------
    model : Detector
        With transformers' initialization; its batch norms are thawed, see :func:`thaw`.
    """

    def __init__(self, model: Detector) -> None:
        super().__init__()
        self.model = model
        thaw(model)
        _begin_at_points(model)
        width = int(model.detr.config.d_model)
        self.token_class = nn.Linear(width, model.num_classes + 1)
        self.token_box = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 4))
        self._decoded: list[torch.Tensor] = []
        for layer in model.detr.model.decoder.layers:
            layer.register_forward_hook(lambda module, args, out: self._decoded.append(out))

    def loss(self, images: torch.Tensor, targets: Targets, dense: float) -> torch.Tensor:
        """Scalar loss of images [N, 3, H, W]; ``dense`` weighs the auxiliary task."""
        detr = self.model.detr
        self._decoded.clear()
        out = detr.model(images)
        objects = max(1, int((targets.labels >= 0).sum()))
        total = dense * self._of_tokens(out.encoder_last_hidden_state, targets)
        layers = [detr.model.decoder.layernorm(hidden) for hidden in self._decoded]
        hidden = torch.cat(layers)  # [layers * N, queries, d]
        boxes = detr.bbox_predictor(hidden).float().sigmoid()
        logits = detr.class_labels_classifier(hidden)
        repeated = Targets(targets.labels.repeat(len(layers), 1), targets.boxes.repeat(len(layers), 1, 1))
        matched = match(logits, boxes, repeated)
        by_class, by_box, by_giou = matched_loss(logits, boxes, repeated, matched, no_object_weight=0.2)
        found: torch.Tensor = total + (2 * by_class + BOX_WEIGHT * by_box + GIOU_WEIGHT * by_giou) / objects
        return found

    def _of_tokens(self, memory: torch.Tensor, targets: Targets) -> torch.Tensor:
        """Object of every token [N, tokens, d]: the class and the box of the object nearest to it, or none."""
        side = math.isqrt(memory.shape[1])
        middle = (torch.arange(side) + 0.5) / side
        points = torch.stack([middle.repeat(side), middle.repeat_interleave(side)], dim=-1)  # x, y; [tokens, 2]
        edges = corners(targets.boxes)[:, None]  # [N, 1, objects, 4]
        at = points[None, :, None]
        margin = 0.25 / side
        inside = ((at > edges[..., :2] - margin) & (at < edges[..., 2:] + margin)).all(dim=-1)
        inside &= (targets.labels >= 0)[:, None]
        apart = ((at - targets.boxes[:, None, :, :2]) / targets.boxes[:, None, :, 2:].clamp(min=1e-3)).square().sum(-1)
        nearest = apart.masked_fill(~inside, torch.inf).argmin(dim=-1)  # [N, tokens]
        found = inside.any(dim=-1)
        logits = self.token_class(memory).float()
        labels = torch.where(found, torch.gather(targets.labels, 1, nearest), logits.shape[-1] - 1)
        own = self.token_box(memory).float().sigmoid()[found]
        true = torch.gather(targets.boxes, 1, nearest[..., None].expand(-1, -1, 4))[found]
        count = max(1, len(true))
        boxes: torch.Tensor = (
            BOX_WEIGHT * (own - true).abs().sum() + GIOU_WEIGHT * (1 - generalized_iou(own, true)).sum()
        )
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten()) + boxes / count


def thaw(model: nn.Module) -> None:
    """Turn frozen batch norms into ones that learn, with the same weights and statistics."""
    for name, module in list(model.named_modules()):
        if type(module).__name__ == "DetrFrozenBatchNorm2d":
            learning = nn.BatchNorm2d(len(module.weight))
            learning.load_state_dict(module.state_dict(), strict=False)
            _replace(model, name, learning)
    model.requires_grad_(True)


def freeze(model: nn.Module) -> None:
    """The reverse of :func:`thaw`."""
    from transformers.models.detr.modeling_detr import DetrFrozenBatchNorm2d

    for name, module in list(model.named_modules()):
        if isinstance(module, nn.BatchNorm2d):
            frozen: nn.Module = DetrFrozenBatchNorm2d(module.num_features)
            frozen.load_state_dict(module.state_dict())
            _replace(model, name, frozen)


def _replace(root: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, leaf = name.rpartition(".")
    setattr(root.get_submodule(parent), leaf, module)


def _begin_at_points(model: Detector) -> None:
    """Queries at points of a grid, in the terms of the position encoding of the tokens."""
    detr = model.detr.model
    queries, width = detr.query_position_embeddings.weight.shape
    columns = math.ceil(math.sqrt(queries))
    rows = math.ceil(queries / columns)
    fine = 64  # the encoding of the middle of each grid cell is read off a finer map
    shape = torch.Size([1, width, fine, fine])
    encoding = detr.position_embedding(shape, device="cpu", dtype=torch.float32)[0]  # [d, 64, 64]
    with torch.no_grad():
        for query in range(queries):
            y = int((query // columns + 0.5) / rows * fine)
            x = int((query % columns + 0.5) / columns * fine)
            detr.query_position_embeddings.weight[query] = encoding[:, y, x]
        for layer in detr.decoder.layers:
            nn.init.orthogonal_(layer.encoder_attn.q_proj.weight, gain=1.4)
            layer.encoder_attn.k_proj.weight.copy_(layer.encoder_attn.q_proj.weight)
