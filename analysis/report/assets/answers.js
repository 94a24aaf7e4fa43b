"use strict";
// The answers to a study's questions: the narrowest accumulators as a chart, and all of them as a table.

function answers(section, found) {
  if (!found.rows.length) {
    section.hidden = true;
    return;
  }
  whenSeen(section, () => narrowest(section.querySelector(".chart"), found));
  const columns = found.columns.map((name, at) => ({
    name, label: name.replaceAll("_", " "), width: Math.max(...found.rows.map((row) => String(row[at] ?? "").length), name.length) + 2,
    numeric: found.rows.every((row) => row[at] === null || typeof row[at] === "number"),
    shown: (row) => String(found.rows[row][at] ?? ""),
    comparator: (descending) => (x, y) => (descending ? -1 : 1) * compare(found.rows[x][at] ?? Infinity, found.rows[y][at] ?? Infinity),
  }));
  new Table(section.querySelector(".grid"), "answers", columns, null).show(Uint32Array.from(found.rows.keys()));
}

// A line per calibrated network, a mark per datapath; the answer is of all layers alike.
function narrowest(place, found) {
  const value = (row, name) => (found.columns.includes(name) ? row[found.columns.indexOf(name)] : null);
  const rows = found.rows.filter((row) => value(row, "scope") === "network" && value(row, "acc_bits") !== null);
  if (!rows.length) return;
  const varied = ["order", "alignment", "within"].filter((name) => new Set(rows.map((row) => value(row, name))).size > 1);
  const network = (row) => {
    const seed = value(row, "seed") ? ` seed ${value(row, "seed")}` : "";
    return `${value(row, "model")} ${value(row, "method")} W${value(row, "w_bits")}A${value(row, "a_bits")}${seed}`;
  };
  const datapath = (row) => ["overflow", ...varied].map((name) => value(row, name)).join(", ");
  const names = Array.from(new Set(rows.map(network))).sort(compare);
  const traces = Array.from(new Set(rows.map(datapath))).sort(compare).map((label, at) => {
    const mine = rows.filter((row) => datapath(row) === label);
    return {
      type: "scatter", mode: "markers", name: label, x: mine.map((row) => value(row, "acc_bits")), y: mine.map(network),
      customdata: mine.map((row) => [value(row, "top1"), value(row, "exact_top1"), value(row, "top1_below")]),
      hovertemplate: "%{y}<br>P = %{x}: top-1 %{customdata[0]}<br>exact: %{customdata[1]}<br>one bit less: " +
        "%{customdata[2]}<extra>" + label + "</extra>",
      marker: { symbol: SYMBOLS[at % 8], size: 10, opacity: 0.85, color: COLORS[at % 8] },
    };
  });
  const layout = {
    height: 130 + 20 * names.length, margin: { l: 10, r: 10, t: 40, b: 50 }, font: { family: "system-ui, sans-serif", size: 12 },
    xaxis: { title: { text: "narrowest accumulator P / bits" }, dtick: 1 },
    legend: { orientation: "h", yref: "container", y: 1, yanchor: "top" },
    yaxis: { autorange: "reversed", automargin: true, tickmode: "array", tickvals: names, categoryorder: "array", categoryarray: names },
  };
  Plotly.react(place, traces, layout, { responsive: true, displaylogo: false });
}
