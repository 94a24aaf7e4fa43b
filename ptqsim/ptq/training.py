"""Training of the bundled models on digit scenes: a recipe, a resumable loop, a recorded result.

Scenes are drawn without end and never twice, so nothing is memorized but the source scans.  Two auxiliary losses make
a small model learn in an hour on two cores what class labels alone teach in many: the class token names each digit
apart, and each patch token names what its patch shows (token labeling, Jiang et al., NeurIPS 2021).  Their heads are
dropped afterwards.
"""

from __future__ import annotations

import json
import math
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from ptqsim.ptq.bundled import BundledModel
from ptqsim.ptq.data import normalize
from ptqsim.ptq.evaluate import Evaluation
from ptqsim.ptq.scenes import Scenes, SceneStyle, make_scenes


@dataclass(frozen=True)
class Recipe:
    """All that decides the weights, besides the model.

    Attributes
    ----------
    images : int
        Number of training scenes, each seen once.
    batch : int
        Scenes per step.
    seed : int
        Seed of the initial weights and of the scenes.
    learning_rate, weight_decay, warmup : float
        AdamW with a cosine schedule; ``warmup`` is the fraction of the steps with a linear rise.
    scenes : SceneStyle
        Style of the training scenes, harder than the data set's own.
    curriculum : float
        Fraction of the steps over which clutter, noise and low contrast come in.
    auxiliary : float
        Weight of the two auxiliary losses.
    bfloat16 : bool
        Matrix products in bfloat16 (autocast), twice as fast where the CPU has AMX.
    """

    images: int = 1_600_000
    batch: int = 256
    seed: int = 0
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warmup: float = 0.02
    scenes: SceneStyle = SceneStyle(clutter=5, contrast=45, noise=16)
    curriculum: float = 0.25
    auxiliary: float = 0.5
    bfloat16: bool = True

    @property
    def steps(self) -> int:
        return self.images // self.batch

    def rate(self, step: int) -> float:
        """Learning rate of a step: linear warmup, then half a cosine down to zero."""
        warm = max(1, int(self.warmup * self.steps))
        if step < warm:
            return self.learning_rate * (step + 1) / warm
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / (self.steps - warm)))

    def style(self, step: int) -> SceneStyle:
        """How hard the scenes of a step are: from clean and clear to the recipe's own style."""
        full = self.scenes
        done = min(1.0, step / max(1.0, self.curriculum * self.steps))
        return SceneStyle(
            clutter=round(done * full.clutter),
            contrast=round(100 + done * (full.contrast - 100)),
            noise=round(done * full.noise),
        )


class _Learner(nn.Module):
    """The model with its auxiliary heads."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        width: int = model.embed_dim  # type: ignore[assignment]
        self.digits = nn.Linear(width, 20)  # tens and units, from the class token
        self.patches = nn.Linear(width, 21)  # what each patch shows, from its token

    def loss(self, images: torch.Tensor, labels: torch.Tensor, patches: torch.Tensor, auxiliary: float) -> torch.Tensor:
        tokens = self.model.forward_features(images)  # type: ignore[operator]
        logits = self.model.forward_head(tokens).float()  # type: ignore[operator]
        digits = self.digits(tokens[:, 0]).float()
        shown = self.patches(tokens[:, 1:]).float()
        apart = F.cross_entropy(digits[:, :10], labels // 10) + F.cross_entropy(digits[:, 10:], labels % 10)
        token = F.cross_entropy(shown.flatten(0, 1), patches.flatten())
        return F.cross_entropy(logits, labels) + auxiliary * (apart + token)


def train(
    bundled: BundledModel,
    recipe: Recipe,
    state: Path,
    *,
    save_every: int = 200,
    progress: Callable[[int, int, float], None] = lambda step, steps, loss: None,
) -> nn.Module:
    """Train a bundled model from its recipe; resumes from ``state`` where that file is there.

    Parameters
    ----------
    bundled : BundledModel
        What to train.
    recipe : Recipe
        How.  A run is repeated to the last bit on the same machine and number of threads; on others the sums
        of floating-point products, and so the weights, differ in their last bits.
    state : Path
        Where weights and optimizer state are kept, as safetensors, rewritten every ``save_every`` steps and on
        interruption (SIGINT), which takes effect when the step in flight is done.
    progress : callable
        Called after each step with the steps done, all steps and the loss.

    Raises
    ------
    ValueError
        Where ``state`` belongs to another model or recipe.
    """
    torch.manual_seed(recipe.seed)
    learner = _Learner(bundled.build())
    for (
        module
    ) in learner.modules():  # the fused kernel's backward is slow in bfloat16 on CPUs, and sums in another order
        if hasattr(module, "fused_attn"):
            module.fused_attn = False  # type: ignore[assignment]
    decayed = [p for p in learner.parameters() if p.ndim > 1]
    others = [p for p in learner.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}],
        betas=(0.9, 0.99),
        fused=True,
    )
    step = _resume(learner, optimizer, bundled, recipe, state) if state.exists() else 0

    learner.train()
    with ThreadPoolExecutor(1) as maker, _interrupts_between_steps() as interrupted:
        upcoming = maker.submit(_batch, recipe, step)  # the next batch is composed while this one is learned
        try:
            while step < recipe.steps:
                scenes = upcoming.result()
                upcoming = maker.submit(_batch, recipe, min(step + 1, recipe.steps - 1))
                loss = _learn(learner, optimizer, scenes, recipe, step)
                step += 1
                progress(step, recipe.steps, loss)
                if step % save_every == 0:
                    _save(learner, optimizer, bundled, recipe, step, state)
                if interrupted():
                    raise KeyboardInterrupt
        finally:
            _save(learner, optimizer, bundled, recipe, step, state)
    return learner.model.eval()


def save_trained(network: nn.Module, path: Path, name: str, recipe: Recipe, result: Evaluation) -> None:
    """Write the weights of a trained model, with its recipe and its accuracy as metadata."""
    record = {
        "model": name,
        "recipe": json.dumps(asdict(recipe)),
        "top1": f"{result.top1:.2f}",
        "validation_images": str(result.images),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: tensor.contiguous() for key, tensor in network.state_dict().items()}, path, record)


@contextmanager
def _interrupts_between_steps() -> Iterator[Callable[[], bool]]:
    """Hold Ctrl-C back until it is asked for, so that weights and step count are always of one step."""
    pressed = False

    def remember(signum: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True

    if threading.current_thread() is not threading.main_thread():  # only the main thread gets signals
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, remember)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)


def _batch(recipe: Recipe, step: int) -> Scenes:
    return make_scenes("train", step * recipe.batch, recipe.batch, seed=recipe.seed, style=recipe.style(step))


def _learn(learner: _Learner, optimizer: torch.optim.Optimizer, scenes: Scenes, recipe: Recipe, step: int) -> float:
    for group in optimizer.param_groups:
        group["lr"] = recipe.rate(step)
    labels, patches = torch.from_numpy(scenes.labels), torch.from_numpy(scenes.patches)
    with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
        loss = learner.loss(normalize(scenes.images), labels, patches, recipe.auxiliary)
    loss.backward()
    nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


def _identity(bundled: BundledModel, recipe: Recipe) -> str:
    return json.dumps({"model": bundled.name, "arguments": bundled.arguments, "recipe": asdict(recipe)}, sort_keys=True)


def _save(
    learner: _Learner,
    optimizer: torch.optim.Optimizer,
    bundled: BundledModel,
    recipe: Recipe,
    step: int,
    state: Path,
) -> None:
    tensors = {f"weight/{name}": p.detach() for name, p in learner.named_parameters()}
    for name, p in learner.named_parameters():
        for key, value in optimizer.state.get(p, {}).items():
            tensors[f"{key}/{name}"] = value
    state.parent.mkdir(parents=True, exist_ok=True)
    partial = state.with_suffix(".partial")
    save_file(tensors, partial, {"identity": _identity(bundled, recipe), "step": str(step)})
    partial.replace(state)  # atomic: an interruption leaves the old file or the new one


def _resume(
    learner: _Learner, optimizer: torch.optim.Optimizer, bundled: BundledModel, recipe: Recipe, state: Path
) -> int:
    try:
        with safe_open(state, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("identity") != _identity(bundled, recipe):
                raise ValueError(
                    f"{state} holds the training of another model or recipe: choose another --state file, or delete it"
                )
            with torch.no_grad():
                for name, p in learner.named_parameters():
                    p.copy_(file.get_tensor(f"weight/{name}"))
                    if int(metadata["step"]) > 0:
                        optimizer.state[p] = {
                            key: file.get_tensor(f"{key}/{name}") for key in ("step", "exp_avg", "exp_avg_sq")
                        }
            return int(metadata["step"])
    except SafetensorError as error:
        raise ValueError(f"{state} is damaged ({error}): delete it to start the training anew") from None
