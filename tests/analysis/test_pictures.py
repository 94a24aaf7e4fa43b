"""Every picture at print size: nothing clipped, no text over other text, the width of one column or two."""

from __future__ import annotations

from itertools import combinations

import pytest

from analysis.demo.accuracy import Accuracy
from analysis.demo.width_curve import WidthCurve
from analysis.detection.detections import Detections
from analysis.detection.safe_width import DetectorSafeWidth
from analysis.formats.trade_off import TradeOff
from analysis.framework import style
from analysis.framework.registry import FIGURES, artifact
from analysis.hardware.area_accuracy import AreaAccuracy
from analysis.hardware.unit_accuracy import UnitAccuracy
from analysis.integer_only.precision import Precision
from analysis.papers.ptq4vit.fig5_metrics import Metrics
from analysis.simulator.codes import Codes
from analysis.simulator.departure import Departure
from analysis.simulator.fitted_width import FittedWidth
from analysis.simulator.power_of_two import PowerOfTwo
from analysis.simulator.safe_width import SafeWidth
from analysis.simulator.storage import Storage
from analysis.simulator.width_accuracy import WidthAccuracy

SMALL = {
    "ptq4vit.fig5": Metrics(points=4, images=8),
    "demo.accuracy": Accuracy(widths=(6, 4), images=8),
    "detection.detections": Detections(widths=(6,), images=(1, 2), score=0.99),
    "detection.safe_width": DetectorSafeWidth(bits=6),
    "formats.trade_off": TradeOff(families=("uniform", "e2m1", "mxfp4"), widths=(4,), images=8),
    "hardware.area_accuracy": AreaAccuracy(code_bits=(6,), trees=(4,), widths=(18, 12), images=8),
    "hardware.unit_accuracy": UnitAccuracy(widths=(8, 6), images=8),
    "integer_only.precision": Precision(widths=(6, 4), residual=(6, 16), table=(4, 64), root=(5, 16), images=4),
    "simulator.codes": Codes(bits=4),
    "simulator.departure": Departure(bits=6, images=4),
    "simulator.fitted_width": FittedWidth(bits=6, images=8, widths=(12, 16), ways=("wrap", "project")),
    "simulator.power_of_two": PowerOfTwo(widths=(4, 6), images=8),
    "simulator.safe_width": SafeWidth(bits=6),
    "simulator.storage": Storage(widths=(3, 5), images=8),
    "simulator.width_accuracy": WidthAccuracy(bits=6, images=8, softmax_shifts=(3,), gelu_shifts=(3,)),
    "demo.width_curve": WidthCurve(bits=6, images=8, floor=0.9),
}


def undrawn_labels(drawing):
    """Labels of ticks beyond the ends of an axis, which matplotlib keeps and does not draw."""
    labels = set()
    for axis in (axis for axes in drawing.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        margin = 1e-9 * (high - low)
        ticks = (tick for tick in axis.get_major_ticks() if not low - margin <= tick.get_loc() <= high + margin)
        labels.update(label for tick in ticks for label in (tick.label1, tick.label2))
    return labels


def texts(drawing):
    """Boxes of all texts, shrunk by half a point, as letters leave room at the edges of their boxes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text
    from matplotlib.transforms import Bbox

    renderer = FigureCanvasAgg(drawing).get_renderer()
    drawing.draw(renderer)
    boxes = {}
    for text in drawing.findobj(Text):
        if text.get_visible() and text.get_text().strip() and text not in undrawn_labels(drawing):
            box = text.get_window_extent(renderer)
            if box.width > 2 and box.height > 2 and drawing.bbox.overlaps(box):
                half = drawing.dpi / 72 / 2
                boxes[text] = Bbox.from_extents(box.x0 + half, box.y0 + half, box.x1 - half, box.y1 - half)
    return boxes


@pytest.mark.parametrize("name", [*FIGURES, *(name for name in SMALL if name not in FIGURES)])
def test_layout(workload, name):
    made = SMALL.get(name) or artifact(name)
    with style.applied():
        drawing = made.render(made.compute(workload))
        boxes = texts(drawing)
        assert boxes
        width = drawing.get_figwidth()
        assert name.startswith("docs.") or width in (style.COLUMN, style.DOUBLE)
        tight = drawing.get_tightbbox()
        assert tight.x0 >= -0.01
        assert tight.y0 >= -0.01
        assert tight.x1 <= width + 0.01
        assert tight.y1 <= drawing.get_figheight() + 0.01
        for (one, one_box), (other, other_box) in combinations(boxes.items(), 2):
            assert not one_box.overlaps(other_box), f"{one.get_text()!r} and {other.get_text()!r} overlap"
        assert min(text.get_fontsize() for text in boxes) >= 6
