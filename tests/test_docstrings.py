"""Docstrings begin with what they describe: a noun phrase or an imperative, never a question."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
QUESTION = re.compile(r"(What|Whatever|Which|Who|Whom|Whose|Where|When|Why|How|Whether|That|Of what|Of which)\b")


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of every docstring, those of attributes included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else []:
            value = getattr(statement, "value", None)
            if isinstance(statement, ast.Expr) and isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield statement.lineno, value.value


@pytest.mark.parametrize("package", ["ptqsim", "analysis", "benchmarks", "tests"])
def test_no_docstring_begins_with_a_question(package: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text.partition(chr(10))[0]}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for line, text in docstrings(path)
        if QUESTION.match(text)
    ]
    assert not found, "begin with a noun phrase or an imperative:\n" + "\n".join(found)


def test_a_question_would_be_found(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    lines = '"""A module."""', "X = 1", '"""What x is."""', "def f():", '    """Whether it is."""'
    module.write_text("\n".join(lines), encoding="utf-8")
    assert [text for _, text in docstrings(module) if QUESTION.match(text)] == ["What x is.", "Whether it is."]
