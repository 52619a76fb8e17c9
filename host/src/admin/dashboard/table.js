// The table of apps. A row is made once; each second only those in sight are looked at, and of them only the cells that
// say something else are touched.

import { COLUMNS, compare } from "./columns.js";
import { h, setAttribute, setText } from "./dom.js";
import { phaseOf } from "./store.js";

/** So many rows are made in one go, the others when the browser has time. */
const AT_ONCE = 100;

export class AppsTable {
  #rows = new Map();
  #sort = { column: COLUMNS[0], isDescending: false };
  #filter = "";
  #order = [];
  #body = h("tbody", { role: "rowgroup" });
  #empty = h("p", { class: "empty", hidden: true });
  #heads = new Map();
  #select;
  #filling = null;
  #inSight = new Set();
  #watch = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      const row = this.#rows.get(target.dataset.app);
      if (row && isIntersecting) this.#inSight.add(row);
      else if (row) this.#inSight.delete(row);
    }
    this.update();
  }, { rootMargin: "300px" });

  constructor(store) {
    this.store = store;
    const heads = COLUMNS.map((column) => {
      const button = h("button", { type: "button", title: column.title, onclick: () => this.#sortBy(column) }, column.label);
      const head = h("th", { scope: "col", role: "columnheader", class: column.isNumber ? "number" : null }, button);
      this.#heads.set(column, head);
      return head;
    });
    const search = h("input", {
      id: "filter", type: "search", placeholder: "Name, state or version", autocomplete: "off",
      oninput: () => {
        this.#filter = search.value.trim().toLowerCase();
        this.arrange();
      },
    });
    this.#select = h("select", { id: "sort", onchange: () => this.#sortBy(COLUMNS[this.#select.selectedIndex]) },
      COLUMNS.map((column) => h("option", {}, column.label)));
    this.shown = h("p", { class: "shown", role: "status" });
    this.element = h("div", { class: "apps" },
      h("div", { class: "tools" },
        h("label", { for: "filter" }, "Filter"), search,
        h("label", { for: "sort", class: "narrow" }, "Sort by"), this.#select, this.shown),
      h("table", { role: "table", "aria-label": "Apps" },
        h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads)), this.#body),
      this.#empty);
    this.#showSort();
  }

  #sortBy(column) {
    const isSame = column === this.#sort.column;
    // Of numbers, the large ones are what one looks for.
    this.#sort = { column, isDescending: isSame ? !this.#sort.isDescending : Boolean(column.isNumber) };
    this.#showSort();
    this.arrange();
  }

  #showSort() {
    const { column, isDescending } = this.#sort;
    for (const [each, head] of this.#heads) {
      setAttribute(head, "aria-sort", each === column ? (isDescending ? "descending" : "ascending") : null);
    }
    this.#select.selectedIndex = COLUMNS.indexOf(column);
  }

  #matches(app) {
    const text = `${app.name} ${phaseOf(app)} ${app.status?.serving?.version ?? ""}`.toLowerCase();
    return this.#filter.split(/\s+/).every((word) => text.includes(word));
  }

  /** Puts the rows that are wanted into their order. */
  arrange() {
    const { column, isDescending } = this.#sort;
    const apps = [...this.store.apps.values()];
    for (const [name, row] of this.#rows) if (!this.store.apps.has(name)) this.#forget(name, row);
    this.#order = apps.filter((app) => this.#matches(app)).sort(compare(column, isDescending));
    setText(this.shown, this.#order.length === apps.length ? `${apps.length} apps` : `${this.#order.length} of ${apps.length} apps`);
    this.#empty.hidden = this.#order.length > 0;
    setText(this.#empty, apps.length === 0 ? "No app is registered yet. Add one to the registry file." : "No app matches the filter.");
    cancelAnimationFrame(this.#filling);
    this.#place(0);
  }

  #place(from) {
    const until = Math.min(from + AT_ONCE, this.#order.length);
    for (let i = from; i < until; i += 1) {
      const row = this.#row(this.#order[i]);
      this.#draw(row);
      // A row that is where it belongs is left alone, and keeps the focus.
      if (this.#body.children[i] !== row.element) this.#body.insertBefore(row.element, this.#body.children[i] ?? null);
    }
    if (until < this.#order.length) {
      this.#filling = requestAnimationFrame(() => this.#place(until));
      return;
    }
    while (this.#body.children.length > this.#order.length) this.#body.lastChild.remove();
  }

  #row(app) {
    let row = this.#rows.get(app.name);
    if (!row) {
      this.#rows.set(app.name, (row = newRow(app)));
      this.#watch.observe(row.element);
    }
    return row;
  }

  #forget(name, row) {
    this.#watch.unobserve(row.element);
    this.#inSight.delete(row);
    this.#rows.delete(name);
  }

  /** Draws what has changed in the rows that are in sight. */
  update() {
    for (const row of this.#inSight) this.#draw(row);
  }

  #draw({ app, cells }) {
    const current = this.store.apps.get(app.name) ?? app;
    COLUMNS.forEach((column, i) => {
      const cell = cells[i];
      const text = column.text(current, this.store.nowMs);
      if (cell.text !== text) cell.shown.textContent = cell.text = text;
      if (column.id === "phase") setAttribute(cell.shown, "data-phase", text);
      if (column.note) setAttribute(cell.shown, "title", column.note(current) || null);
      if (column.mark) setAttribute(cell.shown, "data-mark", column.mark(current) ? "bad" : null);
    });
  }
}

function newRow(app) {
  const cells = COLUMNS.map((column) => {
    const shown = column.id === "name" ? h("a", { href: `#/apps/${encodeURIComponent(app.name)}` }) : h("span", { class: column.id === "phase" ? "phase" : null });
    const attributes = { "data-label": column.label, class: [column.isNumber && "number", column.isWide && "wide"].filter(Boolean).join(" ") || null };
    const cell = column.id === "name"
      ? h("th", { ...attributes, scope: "row", role: "rowheader" }, shown)
      : h("td", { ...attributes, role: "cell" }, shown);
    return { cell, shown, text: null };
  });
  return { app, cells, element: h("tr", { role: "row", "data-app": app.name }, cells.map(({ cell }) => cell)) };
}
