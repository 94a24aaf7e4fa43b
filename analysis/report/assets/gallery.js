"use strict";
// Tables and copy buttons of a gallery.

for (const details of document.querySelectorAll("details")) {
  const found = JSON.parse(details.querySelector("script").textContent);
  const key = (row, at, sign) => (found.rows[row][at] === "" ? Infinity : sign * Number(found.rows[row][at]));
  const columns = found.columns.map((name, at) => {
    const numeric = found.rows.every((row) => row[at] === "" || !Number.isNaN(Number(row[at])));
    return {
      name, label: name, numeric, width: Math.max(name.length, ...found.rows.map((row) => row[at].length)) + 2,
      shown: (row) => found.rows[row][at],
      comparator: (descending) => {
        const sign = descending ? -1 : 1;
        if (numeric) return (x, y) => difference(key(x, at, sign), key(y, at, sign));
        return (x, y) => sign * compare(found.rows[x][at], found.rows[y][at]);
      },
    };
  });
  const place = details.querySelector(".grid");
  new Table(place, place.dataset.label, columns, null).show(Uint32Array.from(found.rows.keys()));
}

for (const button of document.querySelectorAll(".copy")) {
  button.addEventListener("click", async () => {
    const code = button.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {
      getSelection().selectAllChildren(code);
      document.execCommand("copy");
    }
    button.nextElementSibling.textContent = "copied";
  });
}
document.body.dataset.ready = String(Math.round(performance.now()));
