"""Stands for the work of a study where its machinery is measured or tested: deterministic, and as long as wanted."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ptqsim.sweep.work.content import CachePlace, MissingContent
from ptqsim.sweep.work.task import WorkTask

LAYERS = ("first", "second")
SECONDS = "PTQSIM_STUDY_WORK_SECONDS"
"""Variable with the seconds that a point takes."""
LOG = "PTQSIM_STUDY_WORK_LOG"
"""Variable with a file that gets a line for every task that is begun."""


def pretend(task: WorkTask) -> Mapping[str, Any]:
    """Plausible results of a network, made from the task's key."""
    if LOG in os.environ:
        with Path(os.environ[LOG]).open("a", encoding="utf-8") as log:
            log.write(f"{task.kind} {task.key} {os.getpid()}\n")
    cache = CachePlace(**task.payload["cache"]).open()
    if task.kind == "calibration":
        facts = {"kind": "linear", "a_format": "uniform", "b_format": "uniform", "a_bits": 8, "b_bits": 8, "macs": 1000}
        cache.put(task.payload["file"], task.key.encode())
        return {"weight_bits": 8000, "layers": [{"layer": layer, **facts} for layer in LAYERS]}
    if task.payload["file"] is not None and not cache.has(task.payload["file"]):
        raise MissingContent((task.payload["file"],))
    time.sleep(float(os.environ.get(SECONDS, "0")))
    digest = hashlib.sha256(task.key.encode()).hexdigest()
    datapath = task.payload["datapath"]
    noise = int(digest[:4], 16) / 0xFFFF
    bits = datapath["acc_bits"]
    lost = 0.0 if bits is None else max(0, 20 - bits) ** 2 * (0.5 if datapath["overflow"] == "saturate" else 1.0)
    values = {
        "top1": max(0.0, 80.0 - lost),
        "cross_entropy": 0.5 + noise,
        "kl": noise,
        "kl_standard_error": noise,
        "agreement": 90.0,
        "logits_sha256": digest,
    }
    exact = bits is None and not datapath["widths"]
    return values | ({"observed": {"first": 24, "second": 22}} if exact else {})
