"""Every example in the documentation runs and gives what stands there, and every link leads somewhere."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ESSAYS = sorted((ROOT / "docs").glob("*.md"))
FENCED = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"""(?:\]\(|src=")([^)#"]+)""")


def only_python(text: str) -> str:
    """The Python blocks of a page, on the lines where they are; all other lines are empty."""
    lines = [""] * (text.count("\n") + 1)
    for block in FENCED.finditer(text):
        first = text.count("\n", 0, block.start(1))
        for offset, line in enumerate(block[1].splitlines()):
            lines[first + offset] = line
    return "\n".join(lines)


def examples(path: Path) -> doctest.DocTest:
    text = only_python(path.read_text(encoding="utf-8"))
    return doctest.DocTestParser().get_doctest(text, {}, path.name, str(path), 0)


@pytest.mark.parametrize("path", ESSAYS, ids=lambda path: path.name)
def test_examples_of_an_essay(path: Path) -> None:
    """One namespace for a page: later blocks go on from earlier ones."""
    test = examples(path)
    assert test.examples, "an essay without an example that runs"
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    assert runner.run(test, out=report.append).failed == 0, "".join(report)


def test_blocks_of_the_readme_that_are_quick(capsys: pytest.CaptureFixture[str]) -> None:
    """All are Python, and those that calibrate no network run."""
    blocks = FENCED.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    compiled = [(block, compile(block, "README.md", "exec")) for block in blocks]
    quick = [code for block, code in compiled if "import ptq\n" not in block]
    assert quick
    for code in quick:
        exec(code, {})
    assert capsys.readouterr().out


@pytest.mark.parametrize("path", [*ESSAYS, ROOT / "README.md"], ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    targets = LINK.findall(path.read_text(encoding="utf-8"))
    missing = [target for target in targets if "://" not in target and not (path.parent / target).exists()]
    assert not missing


def test_the_index_names_every_essay_and_pictures_are_shown() -> None:
    pages = {path.name: path.read_text(encoding="utf-8") for path in ESSAYS}
    for name in pages.keys() - {"README.md"}:
        assert f"]({name})" in pages["README.md"]
    shown = set(re.findall(r"\(images/([^)]+)\)", "".join([*pages.values(), (ROOT / "README.md").read_text("utf-8")])))
    assert {path.name for path in (ROOT / "docs" / "images").glob("*.svg")} <= shown
