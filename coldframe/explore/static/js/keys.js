// Keyboard shortcuts, and the list of them under "?".

import { byId, el } from "./dom.js";

/** Offer shortcuts: [key, what it does, act]; never while somebody types. */
export function shortcuts(list) {
  const all = [["?", "this list", help], ["t", "light or dark", () => window.toggleTheme()], ...list];
  const dialog = document.body.appendChild(el("dialog", { "aria-labelledby": "keys-title" },
    el("h2", { id: "keys-title" }, "Keyboard"),
    el("table", {}, el("tbody", {}, all.map(([key, words]) => el("tr", {}, el("td", {}, el("kbd", {}, key)), el("td", {}, words))))),
    el("p", { className: "small quiet" }, "On a chart: arrows move the cursor (with Shift by ten), + and - zoom, 0 shows everything. In a table: arrows move, each number tells what it is. Tab reaches everything."),
    el("form", { method: "dialog", className: "send" }, el("button", { className: "first" }, "Close"))));

  function help() { dialog.showModal(); }

  byId("help").addEventListener("click", help);
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.target.closest?.("input, textarea, select")) return;
    const found = all.find(([key]) => key === event.key);
    if (!found) return;
    event.preventDefault();
    found[2]();
  });
}
