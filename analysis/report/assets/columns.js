"use strict";
// Columns of a table, packed by Python: categories as codes into a list of values, numbers as typed arrays.

function bytesOf(text) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

const ARRAYS = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, f4: Float32Array, f8: Float64Array };

class Column {
  constructor(packed) {
    Object.assign(this, packed); // name, label, kind, values
    this.data = new ARRAYS[packed.type](bytesOf(packed.data).buffer);
  }

  get isNumeric() {
    return this.kind === "number" || this.values.every((value) => value === null || typeof value === "number");
  }

  // The value of a row; null where there is none.
  at(row) {
    if (this.kind === "category") return this.values[this.data[row]];
    const value = this.data[row];
    return Number.isNaN(value) ? null : value;
  }

  shown(row) {
    const value = this.at(row);
    if (value === null) return "";
    return typeof value === "number" && !Number.isInteger(value) ? String(+value.toPrecision(6)) : String(value);
  }

  // What a chart puts on an axis: NaN where there is no number.
  number(row) {
    const value = this.at(row);
    return typeof value === "number" ? value : NaN;
  }

  // A function that compares two rows; rows without a value come last.
  comparator(descending) {
    const sign = descending ? -1 : 1;
    if (this.kind === "category") {
      const order = this.values.map((_, code) => code).sort((x, y) => compare(this.values[x], this.values[y]));
      const rank = new Float64Array(order.length);
      order.forEach((code, place) => (rank[code] = this.values[code] === null ? Infinity : sign * place));
      return (x, y) => difference(rank[this.data[x]], rank[this.data[y]]);
    }
    const key = (row) => (Number.isNaN(this.data[row]) ? Infinity : sign * this.data[row]);
    return (x, y) => difference(key(x), key(y));
  }
}

function difference(x, y) {
  return x === y ? 0 : x < y ? -1 : 1;
}

function compare(x, y) {
  if (typeof x === "number" && typeof y === "number") return x - y;
  return String(x).localeCompare(String(y), "en", { numeric: true });
}

class Rows {
  constructor(packed) {
    this.length = packed.length;
    this.columns = packed.columns.map((column) => new Column(column));
    this.byName = new Map(this.columns.map((column) => [column.name, column]));
    this.keys = bytesOf(packed.keys);
    this.keySize = packed.key_size;
    this.errors = packed.errors;
  }

  get(name) {
    return this.byName.get(name);
  }

  value(name, row) {
    const column = this.byName.get(name);
    return column === undefined ? null : column.at(row);
  }

  key(row) {
    const part = this.keys.subarray(row * this.keySize, (row + 1) * this.keySize);
    return Array.from(part, (byte) => byte.toString(16).padStart(2, "0")).join("");
  }
}

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}
