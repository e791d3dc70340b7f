(() => {
  "use strict";
  const all = (selector, of = document) => [...of.querySelectorAll(selector)];
  const by = (id) => document.getElementById(id);
  const filter = by("filter");
  const failed = by("failed");
  const pressed = (button) => button.getAttribute("aria-pressed") === "true";

  /* Of a row of buttons, this one is pressed. */
  const choose = (kind, chosen) => {
    for (const button of all(`button[data-${kind}]`)) {
      button.setAttribute("aria-pressed", String(button === chosen));
    }
  };

  /* Shows the squares and rows that match, and hides whatever is left without any. */
  const sift = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const only = pressed(failed);
    const fits = (cell) =>
      words.every((word) => cell.dataset.text.includes(word)) && (!only || cell.classList.contains("bad"));
    for (const table of all("table.heat")) {
      const rows = all("tbody tr", table);
      const used = new Set();
      for (const row of rows) {
        let some = false;
        for (const cell of all("td", row)) {
          const on = cell.dataset.text !== undefined && fits(cell);
          cell.classList.toggle("off", !on);
          if (on) {
            some = true;
            used.add(cell.cellIndex);
          }
        }
        row.hidden = !some;
      }
      for (const row of table.rows) {
        for (const cell of row.cells) {
          cell.hidden = cell.cellIndex > 0 && !used.has(cell.cellIndex);
        }
      }
      table.hidden = used.size === 0;
    }
    for (const folded of all("details.folded")) {
      const items = all("li", folded);
      for (const item of items) {
        item.hidden = !fits(item);
      }
      folded.hidden = items.every((item) => item.hidden);
    }
    for (const map of all(".map")) {
      map.hidden = !all("table.heat, details.folded", map).some((part) => !part.hidden);
    }
    for (const row of all("table.list tbody tr")) {
      row.hidden = !fits(row);
    }
    let shown = 0;
    let total = 0;
    for (const group of all(".group")) {
      const cells = all("[data-text]", group).filter((cell) => !cell.closest(".view[hidden]"));
      const on = cells.filter((cell) => !cell.hidden && !cell.closest("[hidden]") && !cell.classList.contains("off"));
      group.hidden = on.length === 0;
      shown += on.length;
      total += cells.length;
    }
    by("nothing").hidden = shown > 0;
    by("count").textContent = `${shown} of ${total} cells`;
  };

  for (const button of all("button[data-view]")) {
    button.addEventListener("click", () => {
      choose("view", button);
      for (const view of all(".view[id]")) {
        view.hidden = view.id !== `by-${button.dataset.view}`;
      }
      sift();
    });
  }
  for (const button of all("button[data-figure]")) {
    button.addEventListener("click", () => {
      choose("figure", button);
      document.documentElement.dataset.figure = button.dataset.figure;
    });
  }
  filter.addEventListener("input", sift);
  failed.addEventListener("click", () => {
    failed.setAttribute("aria-pressed", String(!pressed(failed)));
    sift();
  });
  by("controls").hidden = false;
  sift();
})();
