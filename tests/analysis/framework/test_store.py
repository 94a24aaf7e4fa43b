from __future__ import annotations

import pytest

from analysis.framework.frame import Frame
from analysis.framework.store import ArtifactStore

DATA = {"points": Frame.of({"x": [1, 2], "y": [0.1, 1e-300], "code": ["010", "011"], "cell": [None, True]})}


def counted(results):
    calls = []

    def compute():
        calls.append(1)
        return results

    return calls, compute


def test_a_kept_result_comes_back_without_computing(tmp_path):
    calls, compute = counted(DATA)
    first = ArtifactStore(tmp_path).data("points", {"seed": 0}, compute)
    second = ArtifactStore(tmp_path).data("points", {"seed": 0}, compute)
    assert len(calls) == 1
    assert first == second == DATA


def test_another_key_is_another_result(tmp_path):
    calls, compute = counted(DATA)
    for seed in (0, 1):
        ArtifactStore(tmp_path).data("points", {"seed": seed}, compute)
    assert len(calls) == 2


def test_a_damaged_file_is_computed_again(tmp_path):
    calls, compute = counted(DATA)
    store = ArtifactStore(tmp_path)
    store.data("points", {}, compute)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:40])
    assert store.data("points", {}, compute) == DATA
    assert len(calls) == 2


def test_a_failed_computation_leaves_nothing(tmp_path):
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ArtifactStore(tmp_path / "cache").data("points", {}, interrupted)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("code", ["fingerprint.arithmetic", "analysis_fingerprint"])
def test_the_code_is_part_of_the_key_of_data(tmp_path, monkeypatch, code):
    calls, compute = counted(DATA)
    ArtifactStore(tmp_path).data("points", {}, compute)
    monkeypatch.setattr(f"analysis.framework.store.{code}", lambda: "another")
    ArtifactStore(tmp_path).data("points", {}, compute)
    assert len(calls) == 2


def test_what_the_library_makes_does_not_depend_on_the_figures(tmp_path, monkeypatch):
    before = ArtifactStore(tmp_path).path("calibrated", {})
    monkeypatch.setattr("analysis.framework.store.analysis_fingerprint", lambda: "another")
    assert ArtifactStore(tmp_path).path("calibrated", {}) == before
    monkeypatch.setattr("analysis.framework.store.fingerprint.arithmetic", lambda: "another")
    assert ArtifactStore(tmp_path).path("calibrated", {}) != before
