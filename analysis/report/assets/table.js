"use strict";
// A table of which only the visible rows are in the document; it sorts, and works with the keyboard.

const ROW_HEIGHT = 28;

class Table {
  // columns: [{name, label, numeric, shown(row), comparator(descending)}]; chosen(row) is called for the current row.
  constructor(place, label, columns, chosen) {
    this.columns = columns;
    this.chosen = chosen;
    this.rows = new Uint32Array(0);
    this.sorted = null;
    this.current = -1;
    this.head = element("div", { class: "head", role: "row" });
    this.body = element("div", { class: "rows", role: "rowgroup" });
    this.space = element("div", { class: "space" }, this.body);
    const header = element("div", { role: "rowgroup", class: "header" }, this.head);
    this.place = place;
    place.append(header, this.space);
    place.setAttribute("role", "grid");
    place.setAttribute("aria-label", label);
    place.tabIndex = 0;
    place.classList.add("table");
    place.addEventListener("scroll", () => this.draw());
    place.addEventListener("keydown", (event) => this.pressed(event));
    new ResizeObserver(() => this.draw()).observe(place);
    this.widths = columns.map((column) => Math.min(34, Math.max(6, column.width || column.label.length + 3)));
    this.template = this.widths.map((width) => `${width}ch`).join(" ");
    this.head.style.gridTemplateColumns = this.template;
    this.buttons = columns.map((column) => {
      const button = element("button", { type: "button", tabindex: -1, onclick: () => this.sort(column) }, column.label);
      const cell = element("div", { role: "columnheader", class: column.numeric ? "number" : "" }, button);
      this.head.append(cell);
      return cell;
    });
    this.buttons.forEach((cell) => (cell.firstChild.tabIndex = 0));
  }

  show(rows) {
    this.rows = rows;
    this.place.setAttribute("aria-rowcount", rows.length + 1);
    this.current = Math.min(this.current, rows.length - 1);
    this.arrange();
  }

  sort(column) {
    const again = this.sorted !== null && this.sorted.column === column;
    this.sorted = { column, descending: again ? !this.sorted.descending : column.numeric && column.name !== "acc_bits" };
    this.buttons.forEach((cell, at) => {
      if (this.columns[at] === column) cell.setAttribute("aria-sort", this.sorted.descending ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    });
    this.arrange();
    this.place.scrollTop = 0;
  }

  arrange() {
    if (this.sorted !== null) {
      const compareRows = this.sorted.column.comparator(this.sorted.descending);
      this.rows = Uint32Array.from(this.rows).sort((x, y) => compareRows(x, y) || x - y);
    }
    this.space.style.height = `${this.rows.length * ROW_HEIGHT}px`;
    this.draw();
  }

  draw() {
    const first = Math.max(0, Math.floor(this.place.scrollTop / ROW_HEIGHT) - 4);
    const last = Math.min(this.rows.length, first + Math.ceil(this.place.clientHeight / ROW_HEIGHT) + 8);
    this.body.style.transform = `translateY(${first * ROW_HEIGHT}px)`;
    const made = [];
    for (let at = first; at < last; at++) made.push(this.row(at));
    this.body.replaceChildren(...made);
    const active = this.current >= first && this.current < last ? `${this.place.id}-${this.current}` : null;
    if (active) this.place.setAttribute("aria-activedescendant", active);
    else this.place.removeAttribute("aria-activedescendant");
  }

  row(at) {
    const row = this.rows[at];
    const cells = this.columns.map((column) =>
      element("div", { role: "gridcell", class: column.numeric ? "number" : "", title: column.shown(row) },
        column.shown(row)));
    const made = element("div", {
      role: "row", id: `${this.place.id}-${at}`, "aria-rowindex": at + 2, class: "row",
      "aria-selected": String(at === this.current), onclick: () => this.choose(at),
    }, ...cells);
    made.style.gridTemplateColumns = this.template;
    return made;
  }

  choose(at) {
    if (!this.rows.length) return;
    this.current = Math.max(0, Math.min(this.rows.length - 1, at));
    const top = this.current * ROW_HEIGHT;
    const room = this.place.clientHeight - 2 * ROW_HEIGHT;
    if (top < this.place.scrollTop) this.place.scrollTop = top;
    else if (top > this.place.scrollTop + room) this.place.scrollTop = top - room;
    this.draw();
    if (this.chosen) this.chosen(this.rows[this.current]);
  }

  pressed(event) {
    if (event.target !== this.place) return;
    const page = Math.max(1, Math.floor(this.place.clientHeight / ROW_HEIGHT) - 2);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (!(event.key in steps)) return;
    event.preventDefault();
    this.choose(this.current + steps[event.key]);
  }
}
