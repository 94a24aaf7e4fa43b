from __future__ import annotations

from analysis.framework.text_table import Printed

TABLE = Printed("Top-1 & loss", ("Method", "Top-1 %"), (("Base PTQ", "80.25"), ("PTQ4ViT", "")), ("100 % of a_b",))


def test_markdown():
    assert TABLE.markdown().splitlines() == [
        "**Top-1 & loss**",
        "",
        "| Method | Top-1 % |",
        "| --- | ---: |",
        "| Base PTQ | 80.25 |",
        "| PTQ4ViT |  |",
        "",
        "100 % of a_b",
    ]


def test_columns_of_numbers_are_set_flush_right():
    table = Printed("", ("a", "b", "c", "d"), (("1,024", "", "99.5%", "1 ± 2"), ("-3", "1e-3", "", "4")))
    assert table.numeric() == [True, True, True, False]


def test_latex_escapes_and_aligns():
    text = TABLE.latex()
    assert r"\caption{Top-1 \& loss}" in text
    assert r"\begin{tabular}{lr}" in text
    assert r"Method & Top-1 \% \\" in text
    assert r"Base PTQ & 80.25 \\" in text
    assert r"100 \% of a\_b" in text
    assert text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule") == 1
