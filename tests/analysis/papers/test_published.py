"""The papers' numbers against one another: what one table says, another or the text says too."""

from __future__ import annotations

import pytest

from analysis.papers.published import published

MODELS = [row[0] for row in published("ptq4vit.table1").rows]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("column", ["Base PTQ W8A8", "Base PTQ W6A6", "PTQ4ViT W8A8", "PTQ4ViT W6A6"])
def test_drops_are_differences(model, column):
    table = published("ptq4vit.table1")
    drop = table.value((model,), f"{column} drop")
    # printed with three digits that are cut off, of accuracies that were not yet rounded
    assert table.value((model,), "FP32") - table.value((model,), column) == pytest.approx(
        drop, abs=0.101 if drop >= 10 else 0.0201
    )


@pytest.mark.parametrize("model", MODELS)
def test_table_4_repeats_table_1(model):
    one, four = published("ptq4vit.table1"), published("ptq4vit.table4")
    for bits in ("W8A8", "W6A6"):
        assert four.value((model, "32"), bits) == pytest.approx(one.value((model,), f"PTQ4ViT {bits}"), abs=0.0101)


@pytest.mark.parametrize("model", ["ViT-S/224", "ViT-B/224", "ViT-B/384"])
def test_table_3_starts_at_base_ptq_and_ends_at_ptq4vit(model):
    one, three = published("ptq4vit.table1"), published("ptq4vit.table3")
    for bits in ("W8A8", "W6A6"):
        assert three.value((model, "", "", ""), bits) == pytest.approx(
            one.value((model,), f"Base PTQ {bits}"), abs=0.0101
        )
        full = three.value((model, "✓", "✓", "✓"), bits)
        # ViT-B/384 is 0.07 and 0.15 apart in the two tables
        assert full == pytest.approx(
            one.value((model,), f"PTQ4ViT {bits}"), abs=0.151 if model == "ViT-B/384" else 0.0101
        )


@pytest.mark.parametrize(("model", "liu"), [("DeiT-S/224", "DeiT-S"), ("DeiT-B/224", "DeiT-B")])
def test_what_ptq4vit_cites_of_liu(model, liu):
    two, theirs = published("ptq4vit.table2"), published("liu2021.table1")
    checked = 0
    for (name, method, bits), (_, size, top1) in two.rows.items():
        if name == model and not method.startswith(("PTQ4ViT", "FP32")):
            row = (liu, "ImageNet", method, bits[1])
            assert (theirs.value(row, "Size"), theirs.value(row, "Top-1")) == (size, top1)
            checked += 1
    assert checked >= 6


@pytest.mark.parametrize(
    ("model", "bits", "method", "loss"),
    [  # Liu et al. section 4.2, in the text
        ("DeiT-S", "6", "Percentile", 9.31),
        ("DeiT-S", "8", "Percentile", 5.82),
        ("DeiT-S", "6", "EasyQuant", 6.54),
        ("DeiT-S", "8", "EasyQuant", 3.21),
        ("DeiT-S", "6", "Bit-Split", 5.76),
        ("DeiT-S", "8", "Bit-Split", 2.74),
        ("DeiT-S", "6", "Liu", 5.22),
        ("DeiT-S", "8", "Liu", 2.33),
    ],
)
def test_losses_that_liu_names_in_the_text(model, bits, method, loss):
    table = published("liu2021.table1")
    top1 = table.value((model, "ImageNet", method, bits), "Top-1")
    assert table.value((model, "ImageNet", "Baseline", ""), "Top-1") - top1 == pytest.approx(loss, abs=0.001)


def test_gains_that_liu_names_in_the_text():
    table = published("liu2021.table1")

    def gain(data, bits):
        ours, other = (table.value(("ViT-B", data, method, bits), "Top-1") for method in ("Liu (MP)", "Percentile"))
        return ours - other

    assert (gain("CIFAR-10", "6"), gain("CIFAR-10", "8")) == pytest.approx((3.35, 2.07), abs=0.001)
    assert sum(gain("CIFAR-100", bits) for bits in "68") / 2 == pytest.approx(2.95, abs=0.006)
    assert sum(gain("ImageNet", bits) for bits in "68") / 2 == pytest.approx(3.28, abs=0.001)
    three, four = published("liu2021.table3"), published("liu2021.table4")
    assert three.value(("ViT-B", "–", "–", "–", "–"), "Top-1") == 77.91
    best = three.value(("ViT-B", "✓", "✓", "✓", "✓"), "Top-1")
    assert (
        best
        == four.value(("ViT-B", "Liu (MP)"), "Top-1")
        == table.value(("ViT-B", "ImageNet", "Liu (MP)", "8"), "Top-1")
    )


@pytest.mark.parametrize(("table", "parameters"), [("liu2021.table1", {"DeiT-B": 86, "DeiT-S": 22, "ViT-B": 86.2})])
def test_sizes_are_those_of_the_widths(table, parameters):
    """Uniform precision: parameters x bits / 8, in MB of 10**6 bytes."""
    for (model, _, method, bits), (size, _) in published(table).rows.items():
        if model in parameters and bits and "MP" not in method:
            assert size == pytest.approx(parameters[model] * int(bits) / 8, rel=0.003)


def test_detr_gains_in_the_text():
    table = published("liu2021.table2")
    ours = table.value(("DETR", "Liu", "6"), "mAP")
    gains = [ours - table.value(("DETR", method, "6"), "mAP") for method in ("Percentile", "EasyQuant", "Bit-Split")]
    assert gains == pytest.approx([2.6, 1.1, 1.2])


def test_what_is_not_there():
    table = published("ptq4vit.table1")
    assert table.value(("vit_digits",), "FP32") is None
    with pytest.raises(ValueError, match=r"unknown column .*'FP23'.*'FP32'"):
        table.value(("ViT-S/224",), "FP23")
    with pytest.raises(ValueError, match="unknown published table"):
        published("ptq4vit.table9")
