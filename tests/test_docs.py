"""Every example in the documentation runs and gives what stands there, and every link leads somewhere."""

from __future__ import annotations

import doctest
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SITE = {"index.md", "gallery.md"}  # pages of the site alone, made of other pages
ESSAYS = sorted(path for path in (*DOCS.glob("*.md"), *DOCS.glob("units/*.md")) if path.name not in SITE)
TUTORIALS = sorted((DOCS / "tutorials").glob("*.md"))
GALLERY = ROOT / "figures" / "README.md"
PAGES = [ROOT / "README.md", GALLERY, DOCS / "index.md", *ESSAYS, *TUTORIALS, *sorted((DOCS / "results").glob("*.md"))]
FENCED = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```(?P<kind>python|console|yaml)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"""(?:\]\(|src=")([^)#"]+)""")


def page_id(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def only_python(text: str) -> str:
    """The Python blocks of a page, on the lines where they are; all other lines are empty."""
    lines = [""] * (text.count("\n") + 1)
    for block in FENCED.finditer(text):
        first = text.count("\n", 0, block.start(1))
        for offset, line in enumerate(block[1].splitlines()):
            lines[first + offset] = line
    return "\n".join(lines)


def run_examples(text: str, names: dict[str, Any], path: Path, line: int = 0) -> int:
    """Run the examples of a text in a namespace, and return how many there were."""
    test = doctest.DocTestParser().get_doctest(text, names, path.name, str(path), line)
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    assert runner.run(test, out=report.append, clear_globs=False).failed == 0, "".join(report)
    names.update(test.globs)
    return len(test.examples)


def skip_without_extras(text: str) -> None:
    """The simulator's own essays run without any; the others name what they need by what they import."""
    if re.search(r"import (ptq|torch)$", text, re.MULTILINE):
        pytest.importorskip("torch")
    if '"detr_' in text:
        pytest.importorskip("transformers")


@pytest.mark.parametrize("path", ESSAYS, ids=page_id)
def test_examples_of_an_essay(path: Path) -> None:
    """One namespace for a page: later blocks go on from earlier ones."""
    text = only_python(path.read_text(encoding="utf-8"))
    skip_without_extras(text)
    assert run_examples(text, {}, path), "an essay without an example that runs"


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=[pytest.mark.slow] if path.stem != "architect" else []) for path in TUTORIALS],
    ids=page_id,
)
def test_a_tutorial_from_the_first_block_to_the_last(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Python, commands and files, in one folder and one namespace."""
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    text = path.read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    ran = {"python": 0, "console": 0, "yaml": 0}
    for block in BLOCK.finditer(text):
        if block["kind"] == "python":
            ran["python"] += run_examples(block["text"], names, path, text.count("\n", 0, block.start("text")))
        elif block["kind"] == "yaml":
            title = re.match(r"# (\S+\.yaml)\n", block["text"])
            assert title, "a file without its name in the first line"
            Path(title[1]).write_text(block["text"], encoding="utf-8")
            ran["yaml"] += 1
        else:
            ran["console"] += run_commands(block["text"], capsys)
    assert ran["python"]
    assert ran["console"]


def run_commands(text: str, capsys: pytest.CaptureFixture[str]) -> int:
    """Run every line that begins with ``$ ptqsim`` in this process; each has to succeed and to say something."""
    from ptqsim.cli.framework.app import main

    commands = [line.removeprefix("$ ") for line in text.replace("\\\n", " ").splitlines() if line.startswith("$ ")]
    for command in commands:
        program, *arguments = shlex.split(command, comments=True)
        assert program == "ptqsim"
        status = main(arguments)
        output = capsys.readouterr()
        assert status == 0, f"{command}\n{output.err}"
        assert output.out or output.err, command
    return len(commands)


def test_blocks_of_the_readme_that_are_quick(capsys: pytest.CaptureFixture[str]) -> None:
    """All are Python, and those that calibrate no network run."""
    blocks = FENCED.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    compiled = [(block, compile(block, "README.md", "exec")) for block in blocks]
    quick = [code for block, code in compiled if "import ptq\n" not in block]
    assert quick
    for code in quick:
        exec(code, {})
    assert capsys.readouterr().out


def test_commands_of_the_readme_and_of_the_reference_name_commands_and_options_that_exist() -> None:
    from ptqsim.cli.framework.commands import discover, load

    pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "README.md", DOCS / "reference" / "cli.md"))
    lines = re.findall(r"^\$ (ptqsim .*)$", pages.replace("\\\n", " "), re.MULTILINE)
    assert lines
    for line in lines:
        _, name, *arguments = shlex.split(line, comments=True)
        command = load(name, discover()[name])
        while arguments and arguments[0] in getattr(command, "commands", {}):
            command = command.commands[arguments.pop(0)]
        legal = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        used = {argument for argument in arguments if argument.startswith("-")}
        assert used <= legal | {"--help"}, line


@pytest.mark.parametrize("path", PAGES, ids=page_id)
def test_links_lead_somewhere(path: Path) -> None:
    targets = LINK.findall(path.read_text(encoding="utf-8"))
    missing = [target for target in targets if "://" not in target and not (path.parent / target).exists()]
    assert not missing


def test_the_index_names_every_essay_and_pictures_are_shown() -> None:
    pages = {path: path.read_text(encoding="utf-8") for path in PAGES}
    index = pages[DOCS / "README.md"]
    for path in {*ESSAYS, *TUTORIALS} - {DOCS / "README.md"}:
        assert f"]({path.relative_to(DOCS).as_posix()})" in index
    shown = set(re.findall(r"images/([^)\"]+)[)\"]", "".join(pages.values())))
    assert {path.name for path in (DOCS / "images").iterdir()} == shown


def test_the_gallery_shows_every_figure_that_is_kept_and_names_every_figure_that_there_is() -> None:
    pytest.importorskip("matplotlib")
    from analysis.framework.registry import FIGURES

    page = GALLERY.read_text(encoding="utf-8")
    shown = set(re.findall(r"\(gallery/([^)]+)\)", page))
    assert {path.name for path in (GALLERY.parent / "gallery").iterdir()} == shown
    assert all(f"`{name}`" in page for name in FIGURES)
    assert sum(path.stat().st_size for path in (GALLERY.parent / "gallery").iterdir()) < 3e6


def test_the_readme_fits_on_a_few_screens() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_the_site_lists_every_public_name(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sphinx")
    monkeypatch.syspath_prepend(DOCS / "_ext")
    from api_reference import page

    import ptqsim

    exported = {name for name, value in vars(ptqsim).items() if not name.startswith("_") and callable(value)}
    assert {line.strip() for line in page("ptqsim", "").splitlines()} >= exported
