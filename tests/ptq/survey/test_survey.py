"""The survey of timm: what it says of networks that are known, its file, its page, its command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ptqsim.cli.framework import app
from ptqsim.ptq.network.products.operations import LinearOperation
from ptqsim.ptq.survey import check_models, entry_points, installed, page_of, read_verdicts, write_verdicts
from ptqsim.ptq.survey.structure import products, structure
from ptqsim.ptq.survey.trial import smallest, trial
from ptqsim.ptq.survey.verdict import Verdict

DOCS = Path(__file__).parents[3] / "docs"


def test_entry_points_are_found_by_name_and_by_family() -> None:
    every = entry_points()
    assert {"vit_base_patch16_224", "swin_tiny_patch4_window7_224", "convnext_tiny"} <= every.keys()
    assert "resnet50" not in every
    assert "resnet50" in entry_points(every=True)
    assert entry_points("resnet50") == {"resnet50": "resnet"}
    assert set(entry_points("deit").values()) == {"deit"}
    with pytest.raises(ValueError, match="swin_tiny_patch4_window7_224"):
        entry_points("swin_tiny_patch4_windov7_224")


def test_architectures_of_one_kind_differ_in_size_only() -> None:
    tiny, small, distilled = (
        structure(f"deit_{name}_patch16_224").signature for name in ("tiny", "small", "small_distilled")
    )
    assert tiny == small != distilled
    assert structure("deit_small_patch16_224").parameters == 22_050_664 - 990 * 385  # ten classes


def test_products_are_counted_at_the_architectures_own_size() -> None:
    assert products("deit_tiny_patch16_224") == (1 + 12 * 6 + 1, "")
    count, fault = products("coat_lite_tiny")
    assert count == 85
    assert "'serial_blocks1.0.cpe' is the same module as 'cpe1'" in fault


def test_a_trial_is_of_a_small_network() -> None:
    model, side = smallest("vit_base_patch16_224")
    assert side == (64, 64)
    assert len(model.blocks) == 2  # type: ignore[arg-type]


def test_what_works_passes_its_trial() -> None:
    assert trial("test_vit") == ""


def test_a_wrong_operation_fails_its_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    own = LinearOperation.forward
    monkeypatch.setattr(LinearOperation, "forward", lambda self, x: own(self, x) * 1.01)
    assert "does not compute what its class says" in trial("test_vit")


def test_one_of_each_kind_is_run_and_the_others_follow() -> None:
    found: dict[str, Verdict] = {}
    for verdicts in check_models("deit_*_distilled_patch16_224"):
        found |= verdicts
    assert {name: (verdict.run, verdict.works) for name, verdict in found.items()} == {
        f"deit_{size}_distilled_patch16_224": ("deit_tiny_distilled_patch16_224", True)
        for size in ("base", "small", "tiny")
    }
    assert list(check_models("deit_*_distilled_patch16_224", known=found)) == []


def test_verdicts_are_kept(tmp_path: Path) -> None:
    verdicts = {"b": Verdict("vit", 5, "a", 3), "a": Verdict("vit", refused='operation "x" is a | of y')}
    write_verdicts(tmp_path / "v.json", verdicts)
    assert read_verdicts(tmp_path / "v.json") == (installed(), verdicts)
    (tmp_path / "v.json").write_text('{"timm": "1", "verdicts": {"a": {"colour": 1}}}')
    with pytest.raises(ValueError, match=r"v\.json holds no verdicts"):
        read_verdicts(tmp_path / "v.json")


def test_the_page_counts_families() -> None:
    verdicts = {"b": Verdict("vit", 5, "a", 3), "a": Verdict("vit", 2, "a", 3), "c": Verdict("odd", refused="broken")}
    page = page_of("9.9", verdicts)
    assert "Of the 3 architectures of timm 9.9" in page
    assert "**2** can be quantized\n(67 %)" in page
    assert "| vit | 2 | 2 |  |" in page
    assert "| odd | 1 | 0 | broken |" in page
    assert "- run as a (3 products): `a`, `b`" in page


def test_the_documents_are_in_step_and_most_of_timm_works() -> None:
    version, verdicts = read_verdicts(DOCS / "models" / "timm.json")
    assert (DOCS / "models.md").read_text(encoding="utf-8") == page_of(version, verdicts)
    assert sum(verdict.works for verdict in verdicts.values()) >= 0.8 * len(verdicts)
    if version == installed():
        assert verdicts.keys() == entry_points().keys()


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["models", "deit3_small*", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["architectures"]
    assert listed == {"deit3_small_patch16_224": "deit", "deit3_small_patch16_384": "deit"}
    kept = tmp_path / "kept.json"
    assert app.main(["models", "test_vit", "--check", "-o", str(kept), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["architectures"], result["working"]) == (1, 1)
    assert result["verdicts"]["test_vit"]["works"] is True
    page = tmp_path / "page.md"
    assert app.main(["models", "test_vit", "--from", str(kept), "--page", str(page)]) == 0
    capsys.readouterr()
    assert page.read_text(encoding="utf-8") == page_of(installed(), read_verdicts(kept)[1])
    kept.write_text(kept.read_text().replace(installed(), "0.1"))
    assert app.main(["models", "test_vit", "--check", "--from", str(kept)]) == 2
    assert "holds verdicts on timm 0.1" in capsys.readouterr().err
    assert app.main(["models", "no_such_model"]) == 2
