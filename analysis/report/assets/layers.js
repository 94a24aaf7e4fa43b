"use strict";
// How wide the accumulator of every layer must be: by theorem, as seen on the images, and by the answers to questions.

const BOUNDS = [
  ["datatype", "by the formats", "square-open"], ["weight_aware", "weights known", "circle-open"],
  ["row_stochastic", "rows of softmax", "triangle-up-open"], ["observed", "needed on the images", "x"],
];

// What lies below the fold is drawn when it comes near, so that the page is there sooner.
function whenSeen(section, draw) {
  const observer = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    draw();
  }, { rootMargin: "300px" });
  observer.observe(section);
}

class Layers {
  constructor(section, calibrations) {
    this.calibrations = calibrations;
    if (!calibrations.length) {
      section.hidden = true;
      return;
    }
    this.select = section.querySelector("select");
    this.chart = section.querySelector(".chart");
    this.place = section.querySelector(".grid");
    calibrations.forEach((one, at) => this.select.append(element("option", { value: at }, one.label)));
    this.select.addEventListener("change", () => this.draw());
    whenSeen(section, () => this.draw());
  }

  draw() {
    const one = this.calibrations[this.select.value || 0];
    const series = [...BOUNDS, ...one.searches.map((name) => [name, name, "diamond"])];
    const names = one.layers.map((layer) => layer.layer);
    const traces = series.map(([key, label, symbol], at) => ({
      type: "scatter", mode: "markers", name: label, x: one.layers.map((layer) => layer[key] ?? null), y: names,
      hovertemplate: "%{y}<br>%{x} bits<extra>" + label + "</extra>",
      marker: { symbol, size: 9, color: COLORS[at % 8], line: { width: 1.5 } },
    }));
    const layout = {
      height: 160 + 17 * names.length, margin: { l: 10, r: 10, t: 70, b: 50 }, font: { family: "system-ui, sans-serif", size: 12 },
      xaxis: { title: { text: "accumulator width P / bits" }, dtick: 2 }, legend: { orientation: "h", yref: "container", y: 1, yanchor: "top" },
      yaxis: { autorange: "reversed", automargin: true, tickmode: "array", tickvals: names, tickfont: { size: 11 } },
    };
    Plotly.react(this.chart, traces, layout, { responsive: true, displaylogo: false });
    const facts = [["layer", "layer", 30], ["kind", "kind", 11], ["format", "A × B", 26], ["shift", "m", 8]];
    const columns = [...facts, ...series.map(([key, label]) => [key, label, label.length + 3])].map(([name, label, width]) => ({
      name, label, width, numeric: !facts.some(([fact]) => fact === name),
      shown: (row) => String(one.layers[row][name] ?? ""),
      comparator: (descending) => (x, y) => (descending ? -1 : 1) * compare(one.layers[x][name] ?? 99, one.layers[y][name] ?? 99),
    }));
    const fresh = element("div", { id: "layer-table" });
    this.place.replaceWith(fresh);
    this.place = fresh;
    new Table(fresh, "layers", columns, null).show(Uint32Array.from(one.layers.keys()));
  }
}
