"""Time of a calibration: the only numbers here that differ from run to run."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ptqsim import ptq

from ..framework.frame import Data, Frame
from ..framework.points import WorkPoint
from ..framework.workload import Workload
from .entries import Entry


@dataclass(frozen=True)
class TimePoint(WorkPoint):
    """Seconds of a calibration, from the float network on, with nothing kept from another.

    It has the machine for itself: it is never run side by side with other points.  Once measured it is kept, like
    everything else, until the store is removed.

    Attributes
    ----------
    entry : Entry
    bits : int
        Of weights and activations.
    prepared : bool
        Calibrate all layers beforehand and take the time of the rest: of the choice of widths in mixed precision.
    """

    kind: ClassVar[str] = "time_point"
    timed: ClassVar[bool] = True

    entry: Entry
    bits: int
    prepared: bool = False

    def key(self, workload: Workload) -> dict[str, Any]:
        """The label of an entry decides nothing."""
        return {**workload.key(), "entry": self.entry.key(), "bits": self.bits, "prepared": self.prepared}

    def compute(self, workload: Workload) -> Data:
        """One row."""
        with tempfile.TemporaryDirectory(prefix="ptqsim-time-") as folder:
            state = Path(folder) if self.prepared else None
            if self.prepared:
                self._calibrate(workload, state)
            start = time.perf_counter()
            self._calibrate(workload, state)
            seconds = time.perf_counter() - start
        return {"point": Frame.of_rows([{"seconds": seconds}])}

    def _calibrate(self, workload: Workload, state: Path | None) -> None:
        with workload.progress(f"{self.entry.label}, time, {workload.label}", "layer") as report:
            ptq.calibrate(
                workload.network,
                workload.calibration_images,
                method=self.entry.method,
                variant=self.entry.variant,
                w_bits=self.bits,
                a_bits=self.bits,
                seed=workload.seed,
                mixed_precision=self.entry.mixed_precision(),
                state=state,
                progress=report,
                **self.entry.options,
            )
