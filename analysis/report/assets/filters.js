"use strict";
// One group of boxes per axis; a row is shown if its value is ticked in every group.

const MOST_BOXES = 40;

class Filters {
  constructor(place, rows, names, changed) {
    this.rows = rows;
    this.groups = [];
    for (const name of names) {
      const column = rows.get(name);
      if (!column || column.kind !== "category" || column.values.length > MOST_BOXES) continue;
      // what a float network has not is no choice, but whether a point is of one layer or of all is
      if (column.values.filter((value) => value !== null).length < (name === "layer" ? 1 : 2)) continue;
      const group = { column, allowed: new Uint8Array(column.values.length).fill(1), boxes: [] };
      const order = column.values.map((_, code) => code).sort((x, y) => compare(column.values[x], column.values[y]));
      const boxes = order.map((code) => {
        const box = element("input", { type: "checkbox", checked: true });
        box.addEventListener("change", () => {
          group.allowed[code] = box.checked ? 1 : 0;
          changed();
        });
        group.boxes.push([code, box]);
        return element("label", {}, box, " ", column.values[code] === null ? "none" : String(column.values[code]));
      });
      const all = element("button", { type: "button", class: "all", onclick: () => {
        const ticked = group.boxes.some(([, box]) => !box.checked);
        for (const [code, box] of group.boxes) {
          box.checked = ticked;
          group.allowed[code] = ticked ? 1 : 0;
        }
        changed();
      } }, "all / none");
      place.append(element("fieldset", { "data-axis": name }, element("legend", {}, column.label), all, ...boxes));
      this.groups.push(group);
    }
  }

  // The rows that are shown, in their own order.
  shown(least, measure) {
    const active = this.groups.filter((group) => group.allowed.includes(0));
    const found = new Uint32Array(this.rows.length);
    let count = 0;
    for (let row = 0; row < this.rows.length; row++) {
      let good = true;
      for (const group of active) {
        if (!group.allowed[group.column.data[row]]) {
          good = false;
          break;
        }
      }
      if (good && least !== null && !(measure.number(row) >= least)) good = false;
      if (good) found[count++] = row;
    }
    return found.subarray(0, count);
  }
}
