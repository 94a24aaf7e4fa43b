"""The loop that trains a bundled model: resumable, interruptible between steps, and the same for every task."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Protocol, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import save as serialized
from torch import nn

from ptqsim.common import files
from ptqsim.common.progress import Progress
from ptqsim.ptq.files.tensors import open_tensors
from ptqsim.ptq.training.schedule import TrainingSchedule

B = TypeVar("B")


class Course(Protocol[B]):
    """Course of a training: the learner, its batches in order, and its loss.

    Attributes
    ----------
    learner : nn.Module
        Everything that is trained and kept in the state.
    identity : str
        Of the model and the recipe; a state file of another one is refused.
    """

    @property
    def learner(self) -> nn.Module: ...

    @property
    def identity(self) -> str: ...

    def batch(self, step: int) -> B:
        """Batch of a step; called in a thread of its own."""
        ...

    def loss(self, batch: B, step: int) -> torch.Tensor:
        """The scalar loss."""
        ...


def fit(
    course: Course[B],
    schedule: TrainingSchedule,
    state: Path,
    *,
    save_every: int,
    progress: Progress,
) -> None:
    """Train ``course.learner``; resumes from ``state`` where that file is there.

    Parameters
    ----------
    course : Course
    schedule : TrainingSchedule
    state : Path
        Where weights and optimizer state are kept, as safetensors, rewritten every ``save_every`` steps and on
        interruption (SIGINT), which takes effect when the step in flight is done.
    progress : callable
        Called after each step with the steps done, all steps and the loss in words.

    Raises
    ------
    ValueError
        Where ``state`` belongs to another model or recipe, or is damaged.
    """
    learner = course.learner
    decayed = [p for p in learner.parameters() if p.ndim > 1]
    others = [p for p in learner.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": schedule.weight_decay}, {"params": others, "weight_decay": 0.0}],
        betas=(0.9, 0.99),
        fused=True,
    )
    step = _resume(learner, optimizer, course.identity, state) if state.exists() else 0

    learner.train()
    with ThreadPoolExecutor(1) as maker, _interrupts_between_steps() as interrupted:
        upcoming = maker.submit(course.batch, step)  # the next batch is composed while this one is learned
        try:
            while step < schedule.steps:
                batch = upcoming.result()
                upcoming = maker.submit(course.batch, min(step + 1, schedule.steps - 1))
                for group in optimizer.param_groups:
                    group["lr"] = schedule.rate(step)
                with torch.autocast("cpu", torch.bfloat16, enabled=schedule.bfloat16):
                    loss = course.loss(batch, step)
                loss.backward()
                nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
                step += 1
                progress(step, schedule.steps, f"loss {loss.item():.3f}")
                if step % save_every == 0:
                    _save(learner, optimizer, course.identity, step, state)
                if interrupted():
                    raise KeyboardInterrupt
        finally:
            _save(learner, optimizer, course.identity, step, state)


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


def _statistics(learner: nn.Module) -> dict[str, torch.Tensor]:
    """State that training changes besides the parameters: the running statistics of batch norms."""
    parameters = dict(learner.named_parameters())
    return {
        name: tensor
        for name, tensor in learner.state_dict().items()
        if name not in parameters and tensor.is_floating_point()
    }


def _save(learner: nn.Module, optimizer: torch.optim.Optimizer, identity: str, step: int, state: Path) -> None:
    tensors = {f"weight/{name}": p.detach() for name, p in learner.named_parameters()}
    tensors |= {f"statistic/{name}": tensor for name, tensor in _statistics(learner).items()}
    for name, p in learner.named_parameters():
        for key, value in optimizer.state.get(p, {}).items():
            tensors[f"{key}/{name}"] = value
    # as autocast and channels-last kernels may leave tensors in other memory orders
    dense = {name: tensor.contiguous() for name, tensor in tensors.items()}
    files.write(state, serialized(dense, {"identity": identity, "step": str(step)}))


def _resume(learner: nn.Module, optimizer: torch.optim.Optimizer, identity: str, state: Path) -> int:
    try:
        with open_tensors(state) as file:
            metadata = file.metadata() or {}
            if metadata.get("identity") != identity:
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
                for name, tensor in _statistics(learner).items():
                    tensor.copy_(file.get_tensor(f"statistic/{name}"))
            return int(metadata["step"])
    except SafetensorError as error:
        raise ValueError(f"{state} is damaged ({error}): delete it to start the training anew") from None
