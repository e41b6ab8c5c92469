// A table whose rows stay where they are while their numbers change.

import { el } from "../shell/dom.js";
import { write } from "./write.js";

/**
 * @typedef {object} Column
 * @property {string} head
 * @property {boolean} [number] to the right
 * @property {string} [class]
 * @property {(row: object) => string} cell
 * @property {(row: object) => string} [note] a second, softer line, which does not change
 * @property {(row: object) => ("good"|"warn"|"bad"|"")} [mark] colours the text
 */

export class Table {
  #columns;
  #keyOf;
  #isOf;
  #rows = new Map();
  #body = el("tbody");
  #unit;
  #empty;
  #scroller;

  /**
   * @param {{title: string, columns: Column[], key: (row: object) => string, empty: string}} spec key: what tells rows apart;
   * a change of it is another row; new rows come last
   */
  constructor({ title, columns, key, empty }) {
    this.#columns = columns;
    this.#keyOf = key;
    this.#empty = el("p", { class: "none" }, empty);
    this.#unit = el("small");
    const head = el("h3", { class: "cut" }, title, " ", this.#unit);
    this.#scroller = el("div", { class: "scroller" },
      el("table", null,
        el("caption", { class: "unseen" }, title),
        el("thead", null, el("tr", null, columns.map((column) => el("th", { scope: "col", class: classes(column) }, column.head)))),
        this.#body));
    this.node = el("section", { class: "card figures" }, el("header", null, head), this.#scroller, this.#empty);
  }

  /** @param {object[]} rows @param {string} unit what stands beside the title @param {string} [empty] instead of that of the specification */
  update(rows, unit, empty) {
    write(this.#unit, unit);
    if (empty) write(this.#empty, empty);
    const gone = new Set(this.#rows.keys());
    for (const row of rows) {
      const key = this.#keyOf(row);
      gone.delete(key);
      if (!this.#rows.has(key)) this.#rows.set(key, this.#add(row));
      const cells = this.#rows.get(key);
      this.#columns.forEach((column, i) => {
        write(cells[i], column.cell(row));
        if (column.mark) cells[i].className = column.mark(row);
      });
    }
    for (const key of gone) {
      this.#rows.get(key)[0].closest("tr").remove();
      this.#rows.delete(key);
    }
    this.#scroller.hidden = rows.length === 0;
    this.#empty.hidden = rows.length > 0;
  }

  #add(row) {
    const cells = this.#columns.map(() => el("span"));
    this.#body.append(el("tr", null, this.#columns.map((column, i) => {
      const note = column.note?.(row);
      return el(i === 0 ? "th" : "td", { scope: i === 0 ? "row" : null, class: classes(column) }, cells[i], note && el("small", null, note));
    })));
    return cells;
  }
}

function classes(column) {
  return [column.number ? "number" : "", column.class ?? ""].join(" ").trim() || null;
}
