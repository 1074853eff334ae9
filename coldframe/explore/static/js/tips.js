// What a number was measured on, when, and the command that shows it again: on hover and on focus.

import { el } from "./dom.js";
import { clock } from "./format.js";

let box = null, told = null; // the box, and the node that it tells about
const facts = new WeakMap();

/** Make a node tell about its number; `about` gives {title, measured, time, command, extra: [[name, value]]}. */
export function explain(node, about) {
  if (!facts.has(node)) {
    node.addEventListener("pointerenter", show);
    node.addEventListener("pointerleave", hide);
    node.addEventListener("focus", show);
    node.addEventListener("blur", hide);
  }
  facts.set(node, about);
  return node;
}

/** A number that tells about itself; reachable by keyboard unless it stands in a grid that has its own focus. */
export function figure(text, about, focusable = true) {
  return explain(el("span", { className: "figure", tabindex: focusable ? 0 : undefined }, text), about);
}

function show(event) {
  const node = event.currentTarget;
  const about = facts.get(node)();
  if (!about) return;
  box ??= document.body.appendChild(el("div", { id: "tip", role: "tooltip" }));
  const rows = [[about.title, about.value], ["measured on", about.measured], ["when", about.time ? clock(about.time) : null], ...(about.extra ?? [])];
  const list = el("dl");
  for (const [name, value] of rows) if (value !== null && value !== undefined && value !== "") list.append(el("dt", {}, name), el("dd", {}, String(value)));
  if (about.command) list.append(el("dt", {}, "again with"), el("dd", { className: "code" }, about.command));
  box.replaceChildren(list);
  box.hidden = false;
  told = node;
  node.setAttribute("aria-describedby", "tip");
  place(node.getBoundingClientRect());
}

function place(near) {
  const size = box.getBoundingClientRect();
  const left = Math.max(8, Math.min(near.left, innerWidth - size.width - 8));
  const below = near.bottom + 6;
  box.style.left = `${left}px`;
  box.style.top = `${below + size.height > innerHeight - 8 ? Math.max(8, near.top - size.height - 6) : below}px`;
}

function hide(event) {
  event.currentTarget.removeAttribute("aria-describedby");
  if (box) box.hidden = true;
}

addEventListener("keydown", (event) => {
  if (event.key === "Escape" && box) box.hidden = true;
});
// Focus may scroll what it moves to into view; the box goes along.
addEventListener("scroll", () => { if (box && !box.hidden) place(told.getBoundingClientRect()); }, { passive: true, capture: true });
