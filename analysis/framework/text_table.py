"""A table as people read it: aligned text, Markdown and LaTeX from the same cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_LATEX = {
    "&": r"\&",
    "%": r"\%",
    "_": r"\_",
    "#": r"\#",
    "|": "$|$",
    "Δ": r"$\Delta$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "–": "--",
    "⁻": "$^{-}$",
    "³": "$^{3}$",
    "⁶": "$^{6}$",
    "^": r"\^{}",
    "✓": r"$\surd$",
    "≠": r"$\neq$",
    "≥": r"$\geq$",
    "<": "$<$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
}


@dataclass(frozen=True)
class Printed:
    """Formatted cells under headings.

    Attributes
    ----------
    title : str
        Above the table, or its caption.
    columns : tuple of str
    rows : tuple of tuples of str
        An empty string is an empty cell: something that was not measured.
    notes : tuple of str
        Lines below the table.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def markdown(self) -> str:
        """The table in GitHub's Markdown."""
        rule = [("---:" if right else "---") for right in self.numeric()]
        lines = [
            _row(self.columns),
            _row(rule),
            *(_row([cell.replace("|", r"\|") for cell in row]) for row in self.rows),
        ]
        notes = [f"\n{note}" for note in self.notes]
        return "\n".join([f"**{self.title}**\n", *lines, *notes]) + "\n"

    def latex(self) -> str:
        """The table in LaTeX (package booktabs)."""
        align = "".join("r" if right else "l" for right in self.numeric())
        lines = [
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{_escape(self.title)}}}",
            rf"  \begin{{tabular}}{{{align}}}",
            r"    \toprule",
            f"    {' & '.join(map(_escape, self.columns))} \\\\",
            r"    \midrule",
            *(f"    {' & '.join(map(_escape, row))} \\\\" for row in self.rows),
            r"    \bottomrule",
            r"  \end{tabular}",
            *(rf"  \par\smallskip {_escape(note)}" for note in self.notes),
            r"\end{table}",
        ]
        return "\n".join(lines) + "\n"

    def numeric(self) -> list[bool]:
        """Columns that hold numbers only, which are aligned right."""
        return [all(_is_number(row[i]) for row in self.rows) for i in range(len(self.columns))]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escape(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def _is_number(text: str) -> bool:
    try:
        float(text.rstrip("%").replace(",", "") or "0")
    except ValueError:
        return False
    return True
