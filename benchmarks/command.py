"""Measure the speed of matmul beside numpy's float32 product, every output checked against an oracle.

CPU time of one thread: the baseline takes turns with everything that is measured, and the median of the ratios of one
turn each counts. Each case is measured with operands that were multiplied before, and with new ones. Other libraries
are measured where they are installed (`pip install 'ptqsim[bench]'`). --calibration vit_tiny_patch16_224 is about the
calibration of a timm model, of random weights, instead; with --device cuda, on a GPU and by the clock. --network is
about whole networks: calibration, and every mode's time relative to the float network's.

Exit status 1 if an output of the simulator is wrong. A target that is missed changes no exit status.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

import ptqsim as pq
from benchmarks import process, record, report
from benchmarks import start as start_module
from benchmarks.products.float_peers import missing
from benchmarks.products.measure import Plan
from benchmarks.products.shapes import QUICK, QUICK_PEERS
from benchmarks.run import run
from ptqsim.cli.framework import places
from ptqsim.cli.framework.options import DeviceOption, SeedOption
from ptqsim.cli.framework.output import JsonOption, Output
from ptqsim.common import files, strict_json


def bench(
    only: Annotated[
        str,
        typer.Option(
            "--only", help="Only cases whose shape/operands/case matches, e.g. 'fc1*saturate 2*'; of --network, names."
        ),
    ] = "",
    rounds: Annotated[int, typer.Option("--rounds", min=3, help="Rounds of which the median counts.")] = 9,
    quick: Annotated[bool, typer.Option("--quick", help="Small shapes, three rounds: a check only.")] = False,
    portable: Annotated[
        bool, typer.Option("--portable", help="Kernels, numpy's too, as for an x86-64 processor with AVX2 and no more.")
    ] = False,
    start: Annotated[
        bool, typer.Option("--start", help="Time until a first result instead: compiled anew, and from the cache.")
    ] = False,
    calibration: Annotated[
        str,
        typer.Option(
            "--calibration",
            metavar="MODEL",
            help="Time and choices of a calibration instead, beside the plain full grid.",
        ),
    ] = "",
    images: Annotated[int, typer.Option("--images", min=1, help="Of --calibration.")] = 32,
    device: DeviceOption = "cpu",
    every: Annotated[
        bool, typer.Option("--every", help="Run the plain calibration of every operation, not of one per shape.")
    ] = False,
    network: Annotated[
        bool, typer.Option("--network", help="Whole networks instead: calibration, and each mode beside float.")
    ] = False,
    study: Annotated[
        bool, typer.Option("--study", help="The machinery of ptqsim sweep instead: 100,000 points without work.")
    ] = False,
    seed: SeedOption = 0,
    out: Annotated[
        Path | None, typer.Option(*places.OUT, parser=places.path, help="File to write the result to, as JSON.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    places.check_file("-o", out)
    if calibration:
        _calibration(calibration, device, images, every, seed, out, Output(as_json))
        return
    if network:
        _networks(only, rounds, seed, out, Output(as_json))
        return
    if study:
        _study(1000 if quick else 100_000, seed, out, Output(as_json))
        return
    wanted = process.settings(portable)
    if not process.is_set(wanted):
        raise typer.Exit(process.rerun(sys.argv[1:], wanted))
    output = Output(as_json)
    if start:
        with output.progress("Starting", "process") as told:
            started = start_module.measure(3 if quick else 9, portable, told)
        report.show_start(started, output)
        _write(record.made_by(seed) | record.of_start(started), out, output)
        return
    plan = Plan(rounds, seed=seed, targets="portable" if portable else "native")
    if quick:
        plan = Plan(3, 0.0002, seed, "none", QUICK, QUICK_PEERS)
    pq.set_num_threads(1)
    results = run(only, plan, output)
    if not len(results):
        raise ValueError(f"no case matches --only {only!r}; it is compared with shape/operands/case, * being anything")
    report.show(results, plan.judged, output)
    data = record.made_by(seed) | record.of_results(results, plan)
    _write(data, out, output)
    met, targets = data["summary"]["met"], data["summary"]["targets"]
    if targets:
        output.note(f"{met} of {targets} targets of speed are met when operands are ready")
    if missing():
        output.note(f"not installed here, so not measured: {', '.join(missing())} (extra bench)")
    for row in results.wrong:
        output.note(
            f"{row.shape.name} {row.operands} {row.case}: {row.wrong} of {row.shape.outputs} outputs are not what the "
            "oracle computes: a defect of this program; please report it"
        )
    if results.wrong:
        raise typer.Exit(1)


def _calibration(
    model: str, device: str, images: int, every: bool, seed: int, out: Path | None, output: Output
) -> None:
    from benchmarks.networks import calibration  # torch is for this alone
    from ptqsim.ptq import check_device

    with output.progress(model, "operation") as told:
        found = calibration.measure(model, check_device(device), images, 6, every, seed, told)
    calibration.show(found, output)
    _write(record.made_by(seed) | {"calibration": found.record()}, out, output)


def _networks(only: str, rounds: int, seed: int, out: Path | None, output: Output) -> None:
    from benchmarks.networks import network  # torch is for this alone

    found = network.measure(only, rounds, seed, output)
    network.show(found, output)
    _write(record.made_by(seed) | {"networks": [one.record() for one in found]}, out, output)


def _study(points: int, seed: int, out: Path | None, output: Output) -> None:
    from benchmarks.studies import study  # torch and dask are for this alone

    found = study.measure(points, 2, output)
    _write(record.made_by(seed) | {"study": study.show(found, output)}, out, output)


def _write(data: dict[str, Any], out: Path | None, output: Output) -> None:
    if out is not None:
        files.write(out, strict_json.dumps(data, indent=2) + "\n")
        output.note(f"{out} written")
    output.result(data)
