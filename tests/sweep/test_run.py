"""A study from its plan to its rows, on a real local cluster."""

from __future__ import annotations

import secrets
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.studies.study_work import pretend
from ptqsim.sweep.execution.pool import DaskPool
from ptqsim.sweep.execution.run import run
from ptqsim.sweep.plan.parts import merged
from ptqsim.sweep.plan.planning import Plan
from ptqsim.sweep.plan.questions import questions
from ptqsim.sweep.results.store import ResultStore
from ptqsim.sweep.study.point import point_of_row
from ptqsim.sweep.work.content import CachePlace
from ptqsim.sweep.work.task import Outcome, WorkTask
from tests.sweep.cases import SMALL, assert_each_once

if TYPE_CHECKING:
    from distributed import Client

MakePlan = Callable[[str], Plan]
ASK = """
ask:
  - narrowest: acc_bits
    within: {within}
    overflow: [wrap, saturate]
    where: w_bits == 8
"""


def go(plan: Plan, path: Path, client: Client, *, retry_failed: bool = False) -> int:
    def send(task: WorkTask, name: str) -> bytes:
        return plan.cache.path(name).read_bytes()

    with ResultStore(path) as store:
        return run(plan, store, DaskPool(client, send), "text", "command", retry_failed=retry_failed)


def test_every_point_once_and_nothing_twice(make_plan: MakePlan, tmp_path: Path, client: Client) -> None:
    plan = make_plan(SMALL)
    assert go(plan, tmp_path / "s.sqlite", client) == len(plan.points)
    assert_each_once(tmp_path / "s.sqlite", plan, plan.points)
    assert go(plan, tmp_path / "s.sqlite", client) == 0  # a rerun does nothing
    wider = make_plan(SMALL.replace("to: 20", "to: 21"))
    assert go(wider, tmp_path / "s.sqlite", client) == len(wider.points) - len(plan.points)
    assert_each_once(tmp_path / "s.sqlite", wider, wider.points)


def test_points_over_many_images_are_done_in_parts(make_plan: MakePlan, tmp_path: Path, client: Client) -> None:
    plan = make_plan(SMALL.replace("overflow:", "evaluation_images: 2500\n  overflow:"))
    tasks = [task for point in plan.points for task in plan.point_tasks(point)]
    assert [(t.payload["first"], t.payload["images"]) for t in tasks[:3]] == [(0, 1000), (1000, 1000), (2000, 500)]
    for calibration in plan.calibrations():
        pretend(plan.calibration_task(calibration))
    with ResultStore(tmp_path / "s.sqlite") as store:  # some parts are there, of one point all
        for task in tasks[:4]:
            about = {"key": task.key, "point": task.key.partition(".")[0], "status": "done", "seconds": 1.0}
            store.record("parts", [about | {"document": dict(pretend(task))}])
    assert go(plan, tmp_path / "s.sqlite", client) == len(plan.points)
    assert_each_once(tmp_path / "s.sqlite", plan, plan.points)
    assert go(plan, tmp_path / "s.sqlite", client) == 0


def test_parts_add_up() -> None:
    values = [{"top1": 80.1, "cross_entropy": 0.5, "kl": 0.1, "kl_standard_error": 0.01, "agreement": 90.0,
               "logits_sha256": "a", "observed": {"x": 20, "y": 9}},
              {"top1": 60.0, "cross_entropy": 2.0, "kl": 0.4, "kl_standard_error": 0.03, "agreement": 70.0,
               "logits_sha256": "b", "observed": {"x": 19, "y": 11}}]  # fmt: skip
    found = merged("key", 1500, [Outcome(f"key.{n}", "done", v, seconds=2.0) for n, v in enumerate(values)])
    assert found.values["top1"] == 100 * (801 + 300) / 1500
    assert found.values["cross_entropy"] == pytest.approx((0.5 * 1000 + 2.0 * 500) / 1500)
    assert found.values["kl"] == pytest.approx((0.1 * 1000 + 0.4 * 500) / 1500)
    assert found.values["agreement"] == pytest.approx(100 * (900 + 350) / 1500)
    assert found.values["observed"] == {"x": 20, "y": 11}
    assert found.seconds == 4.0
    bad = merged("key", 1500, [Outcome("key.0", "done", values[0]), Outcome("key.1", "failed", error="why")])
    assert (bad.key, bad.status, bad.error) == ("key", "failed", "why")


def test_a_calibration_is_done_once_for_all_its_points(make_plan: MakePlan, tmp_path: Path, client: Client) -> None:
    plan = make_plan(SMALL)
    go(plan, tmp_path / "s.sqlite", client)
    with ResultStore(tmp_path / "s.sqlite", write=False) as store:
        calibrations = list(store.rows("calibrations"))
        used = {row["calibration"] for row in store.rows("points")}
        assert store.counts()["calibration"] == {"planned": 4, "done": 4, "trapped": 0, "failed": 0, "missing": 0}
    assert {row["key"] for row in calibrations} == used
    assert len(calibrations) == 4


def test_a_row_says_what_it_is(make_plan: MakePlan, tmp_path: Path, client: Client) -> None:
    plan = make_plan(SMALL)
    go(plan, tmp_path / "s.sqlite", client)
    with ResultStore(tmp_path / "s.sqlite", write=False) as store:
        for row in store.rows("points"):
            assert plan.key(point_of_row(row)) == row["key"]
            assert store.provenance(row["provenance"])["code"] == plan.code
        assert store.study() == ("small", "text")


def test_workers_without_the_clients_files_get_them(make_plan: MakePlan, tmp_path: Path, client: Client) -> None:
    """The folder that tasks name is nowhere, so that workers keep files of their own."""
    plan = make_plan(SMALL)
    token = secrets.token_hex(16)
    plan._place = {"folder": str(tmp_path / "not mounted"), "token": token}
    sent: list[str] = []

    def send(task: WorkTask, name: str) -> bytes:
        sent.append(name)
        return b"calibrated"

    for calibration in plan.calibrations():  # as if they had been done elsewhere: only the client has the files
        plan.cache.put(plan.file(calibration), b"calibrated")
    with ResultStore(tmp_path / "s.sqlite") as store:
        rows = [{"key": plan.calibration_key(c), "model": "m", "status": "done"} for c in plan.calibrations()]
        store.record("calibrations", rows)
        run(plan, store, DaskPool(client, send), "text", "command")
    assert_each_once(tmp_path / "s.sqlite", plan, plan.points)
    # all workers of this machine share what was sent to it
    shutil.rmtree(CachePlace("", token).open().folder)
    assert set(sent) == {plan.file(calibration) for calibration in plan.calibrations()}
    assert len(sent) == len(set(sent))


@pytest.mark.parametrize("within", [0, 1, 5, 100])
def test_questions_find_what_a_full_scan_finds(
    make_plan: MakePlan, tmp_path: Path, client: Client, within: int
) -> None:
    grid = SMALL.replace("{from: 14, to: 20}", "{from: 2, to: 24}")
    full = make_plan(grid)
    go(full, tmp_path / "full.sqlite", client)
    asked = make_plan(SMALL.replace("acc_bits: [exact, {from: 14, to: 20}]", "") + ASK.format(within=within))
    computed = go(asked, tmp_path / "asked.sqlite", client)
    with ResultStore(tmp_path / "full.sqlite", write=False) as store:
        rows = [row for row in store.rows("points") if row["acc_bits"] is not None]
    with ResultStore(tmp_path / "asked.sqlite", write=False) as store:
        answers = list(store.rows("answers"))
    assert len(answers) == len(list(questions(asked.study))) == 4
    for answer in answers:
        curve = {
            row["acc_bits"]: row["top1"]
            for row in rows
            if (row["calibration"], row["overflow"]) == (answer["calibration"], answer["overflow"])
        }
        good = [bits for bits, top1 in curve.items() if top1 >= answer["exact_top1"] - within]
        assert answer["acc_bits"] == min(good)
        assert answer["top1"] == curve[min(good)]
        if min(good) > 2:
            assert answer["top1_below"] == curve[min(good) - 1] < answer["exact_top1"] - within
    assert computed < len(full.points) / 2


def test_widths_of_layers_hold_together(make_plan: MakePlan, tmp_path: Path, client: Client) -> None:
    text = SMALL.replace("acc_bits: [exact, {from: 14, to: 20}]", "") + ASK.format(within=1) + "    scope: layer\n"
    go(make_plan(text), tmp_path / "s.sqlite", client)
    with ResultStore(tmp_path / "s.sqlite", write=False) as store:
        answers = list(store.rows("answers"))
    layers = [answer for answer in answers if answer["layer"] is not None]
    together = [answer for answer in answers if answer["layer"] is None]
    assert len(layers) == 2 * len(together) == 8
    for answer in together:
        assert answer["widths"].keys() == {"first", "second"}
        assert answer["top1"] >= answer["exact_top1"] - 1


def test_failures_are_kept_and_do_not_stop_the_others(make_plan: MakePlan, tmp_path: Path, client: Client) -> None:
    plan = make_plan(SMALL)
    broken = make_plan(SMALL)
    broken.work = "benchmarks.studies.study_work:not_there"
    path = tmp_path / "s.sqlite"
    with ResultStore(path) as store:  # one calibration is there, and fails in its points; the others fail themselves
        run(replace(plan, study=plan.study.model_copy(update={"require": ["w_bits == 8 and a_bits == 8"]})),
            store, DaskPool(client, lambda task, name: b""), "text", "command")  # fmt: skip
    assert go(broken, path, client) == 0  # no point is computed whose calibration fails
    with ResultStore(path, write=False) as store:
        counts = store.counts()["point"]
        failed = [row for row in store.rows("points") if row["status"] == "failed"]
    assert counts["missing"] == 0
    assert counts["done"] == counts["failed"] == len(plan.points) // 2
    assert all("its calibration failed: AttributeError" in row["error"] for row in failed)
    assert go(plan, path, client) == 0  # not tried again unless asked for
    assert go(plan, path, client, retry_failed=True) == len(failed)
    assert_each_once(path, plan, plan.points)


def test_a_different_result_is_refused(make_plan: MakePlan, tmp_path: Path, client: Client) -> None:
    plan = make_plan(SMALL)
    go(plan, tmp_path / "s.sqlite", client)
    with ResultStore(tmp_path / "s.sqlite") as store:
        row = next(store.rows("points"))
        store.record("points", [row])  # the same again is fine
        with pytest.raises(RuntimeError, match="computed twice with different results"):
            store.record("points", [row | {"logits_sha256": "other"}])


def test_only_one_writes_and_others_may_read(make_plan: MakePlan, tmp_path: Path, client: Client) -> None:
    plan = make_plan(SMALL)
    go(plan, tmp_path / "s.sqlite", client)
    with ResultStore(tmp_path / "s.sqlite"):
        with pytest.raises(ValueError, match="another ptqsim sweep writes"):
            ResultStore(tmp_path / "s.sqlite")
        with ResultStore(tmp_path / "s.sqlite", write=False) as reader:
            assert reader.counts()["point"]["done"] == len(plan.points)


def test_other_files_are_no_store(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there are no results"):
        ResultStore(tmp_path / "none.sqlite", write=False)
    (tmp_path / "text.sqlite").write_text("no database" * 100)
    with pytest.raises(ValueError, match="holds no results"):
        ResultStore(tmp_path / "text.sqlite")
    database = sqlite3.connect(tmp_path / "later.sqlite")
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(ValueError, match="has version 99"):
        ResultStore(tmp_path / "later.sqlite")


@pytest.mark.parametrize("version", [2, 3, 4, 5])
def test_a_store_of_an_earlier_version_is_read_and_gets_the_new_columns(version: int, tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    with ResultStore(path) as store:
        store.record("points", [{"key": "k", "model": "m", "mode": "float", "evaluation_images": 5, "status": "done",
                                 "top1": 80.0}])  # fmt: skip
    database = sqlite3.connect(path)
    for table in ("points", "calibrations", "answers"):
        layout = () if version >= 4 else ("w_granularity", "a_symmetric", "formats")
        units = () if version == 5 else ("residual_bits", "softmax", "gelu", "layer_norm")
        for name in (*layout, *units, "residual_scale"):
            database.execute(f"ALTER TABLE {table} DROP COLUMN {name}")
    for name in ("kl", "kl_standard_error", "agreement") if version == 2 else ():
        database.execute(f"ALTER TABLE points DROP COLUMN {name}")
    database.execute(f"PRAGMA user_version = {version}")
    database.commit()
    database.close()
    for write in (False, True, False):
        with ResultStore(path, write=write) as store:
            (row,) = store.rows("points", planned=False)
            assert (row["top1"], row["kl"]) == (80.0, None)
    with ResultStore(path) as store:
        store.record("points", [{"key": "n", "model": "m", "mode": "float", "evaluation_images": 5, "status": "done",
                                 "kl": 0.5}])  # fmt: skip
        assert [row["kl"] for row in store.rows("points", planned=False)] == [None, 0.5]
