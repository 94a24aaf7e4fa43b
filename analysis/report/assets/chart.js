"use strict";
// The points of two columns, and which of them nothing beats: the Pareto front.

const COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C8C8C"];
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "x", "cross", "star", "triangle-down"];

// Rows with the largest y for their x or less, from cheap to dear; of equal ones the first.
function paretoFront(rows, x, y, largerIsBetter) {
  const sign = largerIsBetter ? 1 : -1;
  const known = Array.from(rows).filter((row) => Number.isFinite(x.number(row)) && Number.isFinite(y.number(row)));
  known.sort((p, q) => x.number(p) - x.number(q) || sign * (y.number(q) - y.number(p)) || p - q);
  const front = [];
  let best = -Infinity;
  for (const row of known) {
    if (sign * y.number(row) > best) {
      best = sign * y.number(row);
      front.push(row);
    }
  }
  return front;
}

class Chart {
  constructor(place, rows, chosen, hovered) {
    this.place = place;
    this.rows = rows;
    this.chosen = chosen;
    this.hovered = hovered;
    this.front = [];
    this.at = -1;
    place.tabIndex = 0;
    place.addEventListener("keydown", (event) => this.pressed(event));
  }

  draw(shown, x, y, color, largerIsBetter) {
    this.x = x;
    this.y = y;
    this.front = paretoFront(shown, x, y, largerIsBetter);
    this.at = -1;
    const traces = this.traces(shown, color);
    traces.push({
      type: "scatter", mode: "lines+markers", name: "Pareto front", hoverinfo: "none",
      x: this.front.map((row) => x.number(row)), y: this.front.map((row) => y.number(row)), customdata: this.front,
      line: { color: "#000", width: 1.5, shape: "hv" }, marker: { size: 7, color: "rgba(0,0,0,0)", line: { color: "#000", width: 1.5 } },
    });
    traces.push({
      type: "scatter", mode: "markers", name: "chosen", hoverinfo: "skip", showlegend: false, x: [], y: [],
      marker: { size: 16, color: "rgba(0,0,0,0)", line: { color: "#D55E00", width: 3 } },
    });
    const layout = {
      margin: { l: 60, r: 10, t: 10, b: 50 }, hovermode: "closest", font: { family: "system-ui, sans-serif", size: 13 },
      xaxis: { title: { text: x.label }, zeroline: false }, yaxis: { title: { text: y.label }, zeroline: false },
      legend: { orientation: "h", y: -0.2 }, uirevision: `${x.name} ${y.name}`,
    };
    const first = !this.place.classList.contains("js-plotly-plot");
    const drawn = Plotly.react(this.place, traces, layout, { responsive: true, displaylogo: false });
    if (first) {
      this.place.on("plotly_click", (event) => this.chosen(event.points[0].customdata));
      this.place.on("plotly_hover", (event) => this.hovered(event.points[0].customdata, event.event));
      this.place.on("plotly_unhover", () => this.hovered(null, null));
    }
    return drawn;
  }

  traces(shown, color) {
    const groups = new Map();
    for (const row of shown) {
      const code = color === null ? 0 : color.data[row];
      if (!groups.has(code)) groups.set(code, []);
      groups.get(code).push(row);
    }
    const codes = Array.from(groups.keys()).sort((p, q) => color === null ? 0 : compare(color.values[p], color.values[q]));
    const many = shown.length > 5000;
    return codes.map((code, at) => {
      const rows = groups.get(code);
      return {
        type: "scattergl", mode: "markers", hoverinfo: "none", customdata: rows,
        name: color === null ? "points" : color.values[code] === null ? "none" : String(color.values[code]),
        x: Float64Array.from(rows, (row) => this.x.number(row)), y: Float64Array.from(rows, (row) => this.y.number(row)),
        // symbols of many points could not be told apart, and circles are drawn the fastest
        marker: { size: many ? 4 : 7, opacity: 0.75, color: COLORS[at % 8], symbol: many ? "circle" : SYMBOLS[at % 8] },
      };
    });
  }

  mark(row) {
    const known = row !== null && this.place.data;
    if (!known) return;
    const last = this.place.data.length - 1;
    Plotly.restyle(this.place, { x: [[this.x.number(row)]], y: [[this.y.number(row)]] }, [last]);
  }

  pressed(event) {
    const steps = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity };
    if (!(event.key in steps) || !this.front.length) return;
    event.preventDefault();
    this.at = Math.max(0, Math.min(this.front.length - 1, this.at + steps[event.key]));
    this.chosen(this.front[this.at]);
  }
}
