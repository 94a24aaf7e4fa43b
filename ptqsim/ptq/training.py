"""Training of the bundled models on digit scenes: a resumable loop and a recorded result.

Scenes are drawn without end and never twice, so nothing is memorized but the source scans.
"""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from ptqsim.ptq.bundled import BundledModel
from ptqsim.ptq.data import normalize
from ptqsim.ptq.evaluate import Evaluation
from ptqsim.ptq.learner import Learner, begin_as
from ptqsim.ptq.models import load_model
from ptqsim.ptq.recipe import Recipe
from ptqsim.ptq.scenes import Scenes, make_scenes


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
    teacher = None if recipe.teacher is None else load_model(recipe.teacher)
    model = bundled.build()
    if teacher is not None and recipe.from_teacher:
        begin_as(teacher, model)
    learner = Learner(model, teacher, recipe.temperature)
    for module in learner.modules():  # the fused kernel's backward is slow in bfloat16, and sums in another order
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


def _learn(learner: Learner, optimizer: torch.optim.Optimizer, scenes: Scenes, recipe: Recipe, step: int) -> float:
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
    learner: Learner,
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
    learner: Learner, optimizer: torch.optim.Optimizer, bundled: BundledModel, recipe: Recipe, state: Path
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
