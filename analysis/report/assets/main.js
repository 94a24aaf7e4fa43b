"use strict";
// Puts the page together from the data that Python wrote into it.

const COSTS = ["processing_element", "accumulator_bits", "mean_accumulator_bits", "storage_bits", "acc_bits", "seconds"];
const MEASURES = ["top1", "cross_entropy", "top1_lost"];
const SMALLER_IS_BETTER = ["cross_entropy", "top1_lost"];

function start() {
  const report = JSON.parse(document.getElementById("data").textContent);
  const rows = new Rows(report.points);
  const byId = (id) => document.getElementById(id);
  const pick = (id, names, chosen) => {
    for (const name of names) {
      const column = rows.get(name);
      if (column) byId(id).append(element("option", { value: name, selected: name === chosen }, column.label));
    }
  };
  const usable = (names) => names.filter((name) => {
    const column = rows.get(name);
    return column && (column.kind === "number" || column.values.some((value) => value !== null));
  });
  const costs = usable(COSTS);
  const colors = report.axes.filter((name) => (rows.get(name)?.values ?? []).length > 1);
  pick("x", costs, costs[0]);
  pick("y", usable(MEASURES), "top1");
  byId("color").append(element("option", { value: "" }, "nothing"));
  pick("color", colors, colors.includes("method") ? "method" : colors[0]);

  let current = null;
  const columns = rows.columns.map((column) => ({
    name: column.name, label: column.label, numeric: column.isNumeric, width: column.width,
    shown: (row) => column.shown(row), comparator: (descending) => column.comparator(descending),
  }));
  const table = new Table(byId("points"), "points", columns, (row) => choose(row, "table"));
  const chart = new Chart(byId("chart"), rows, (row) => choose(row, "chart"), hover);
  byId("filter-box").open = innerWidth > 720;
  const filters = new Filters(byId("filters"), rows, report.axes, () => update());

  function configuration(row) {
    const entries = rows.columns.filter((column) => column.at(row) !== null)
      .flatMap((column) => [element("dt", {}, column.label), element("dd", {}, column.shown(row))]);
    const error = rows.errors[row] === undefined ? [] : [element("dt", {}, "error"), element("dd", {}, rows.errors[row])];
    return element("dl", {}, ...entries, ...error);
  }

  function hover(row, event) {
    const tip = byId("tip");
    tip.hidden = row === null;
    if (row === null) return;
    tip.replaceChildren(configuration(row));
    const { clientX, clientY } = event;
    tip.style.left = `${Math.max(4, Math.min(clientX + 14, innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${Math.max(4, Math.min(clientY + 14, innerHeight - tip.offsetHeight - 8))}px`;
  }

  function command(title, text) {
    const state = element("span", { role: "status" });
    const code = element("code", {}, text);
    const copy = element("button", { type: "button", onclick: async () => {
      try {
        await navigator.clipboard.writeText(text);
      } catch {
        // a page from disk may not be let at the clipboard: select the text and use the old way
        getSelection().selectAllChildren(code);
        document.execCommand("copy");
      }
      state.textContent = "copied";
    } }, "Copy");
    return element("div", { class: "command" }, element("h3", {}, title), element("pre", { tabindex: 0 }, code), copy, state);
  }

  function choose(row, from) {
    current = row;
    chart.mark(row);
    const fresh = freshCommand(report, rows, row);
    const parts = [element("h2", {}, "Chosen point"), configuration(row)];
    if (rows.errors[row] === undefined) parts.push(command("Compute it again and compare every bit", againCommand(report, rows, row)));
    if (fresh !== null) parts.push(command("Make it from nothing", fresh));
    byId("chosen").replaceChildren(...parts);
    if (from === "chart") {
      const at = table.rows.indexOf(row);
      if (at >= 0 && table.rows[table.current] !== row) {
        table.current = at;
        table.place.scrollTop = Math.max(0, at * ROW_HEIGHT - table.place.clientHeight / 2);
        table.draw();
      }
    }
  }

  function update() {
    const y = rows.get(byId("y").value);
    const given = byId("least").value;
    const shown = filters.shown(given === "" ? null : Number(given), rows.get("top1"));
    const color = byId("color").value === "" ? null : rows.get(byId("color").value);
    const drawn = chart.draw(shown, rows.get(byId("x").value), y, color, !SMALLER_IS_BETTER.includes(y.name));
    table.show(shown);
    byId("count").textContent = `${shown.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} points, ` +
      `${chart.front.length} on the Pareto front`;
    if (current !== null) chart.mark(current);
    return drawn;
  }

  ["x", "y", "color"].forEach((id) => byId(id).addEventListener("change", update));
  byId("least").addEventListener("input", update);
  new Layers(byId("layers"), report.calibrations);
  answers(byId("answers"), report.answers);
  return update();
}

// When everything is drawn the page says how long it took, for whoever measures.
Promise.resolve(start()).then(() => requestAnimationFrame(() => setTimeout(() => {
  document.body.dataset.ready = String(Math.round(performance.now()));
})));
