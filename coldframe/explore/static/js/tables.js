// Tables that grow: newest on top, one tab stop with arrows inside, and nothing moves while somebody reads.

import { el, put } from "./dom.js";
import { explain } from "./tips.js";

const SHOWN = 100;

export class Table {
  /** `columns`: [title, row -> text or node, class, row -> what a tip says]; rows are kept by `row => id`. */
  constructor(section, columns, { none, id = (row) => row.id, oldestFirst = false, label }) {
    Object.assign(this, { columns, id, oldestFirst });
    this.rows = new Map();
    this.held = 0;
    this.all = false;
    this.none = el("p", { className: "none" }, none);
    this.body = el("tbody", { onkeydown: (event) => this.move(event) });
    this.fresh = el("button", { type: "button", className: "plain fresh", hidden: true, onclick: () => this.draw() });
    this.more = el("button", { type: "button", className: "plain", hidden: true, onclick: () => { this.all = true; this.draw(); } });
    this.scroll = el("div", { className: "scroll", hidden: true }, el("table", { role: "grid", "aria-label": label },
      el("thead", {}, el("tr", {}, columns.map(([title, , kind]) => el("th", { scope: "col", className: kind?.includes("number") ? "number" : undefined }, title)))), this.body));
    section.querySelector("header").append(this.fresh);
    section.append(this.none, this.scroll, this.more);
    this.scroll.addEventListener("pointerleave", () => this.settle());
    this.scroll.addEventListener("focusout", () => setTimeout(() => this.settle(), 0));
  }

  get read() {
    return this.scroll.matches(":hover") || this.scroll.contains(document.activeElement);
  }

  /** Take rows; one that is known is replaced. While the table is being read they wait behind a button. */
  add(rows) {
    const before = this.rows.size;
    for (const row of rows) this.rows.set(this.id(row), row);
    if (before && this.read) {
      this.held += this.rows.size - before;
      put(this.fresh, this.held ? `${this.held} new` : "changed");
      this.fresh.hidden = false;
    } else this.draw();
  }

  settle() {
    if (!this.fresh.hidden && !this.read) this.draw();
  }

  clear() {
    this.rows.clear();
    this.draw();
  }

  draw() {
    this.held = 0;
    this.fresh.hidden = true;
    const ordered = [...this.rows.values()];
    if (!this.oldestFirst) ordered.reverse();
    const shown = this.all ? ordered : ordered.slice(0, SHOWN);
    this.body.replaceChildren(...shown.map((row) => this.line(row)));
    const first = this.body.querySelector("td");
    if (first) first.tabIndex = 0;
    this.none.hidden = ordered.length > 0;
    this.scroll.hidden = !ordered.length;
    this.more.hidden = shown.length === ordered.length;
    put(this.more, `all ${ordered.length}`);
  }

  line(row) {
    return el("tr", {}, this.columns.map(([title, write, kind, about]) => {
      const cell = el("td", { className: kind, tabindex: -1, data: { title: /^[A-Z]+$/.test(title) ? title : title.toLowerCase() } }, write(row));
      return about ? explain(cell, () => about(row)) : cell;
    }));
  }

  move(event) {
    const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const cell = event.target.closest("td");
    if (!cell || !(event.key in steps)) return;
    const [down, right] = steps[event.key];
    const line = [...this.body.rows].indexOf(cell.parentNode) + down;
    const next = this.body.rows[line]?.cells[cell.cellIndex + right];
    event.preventDefault();
    if (!next) return;
    cell.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }
}
