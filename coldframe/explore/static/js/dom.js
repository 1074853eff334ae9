// Making elements. Text only ever becomes a text node: what a model or a file says is never read as markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element with properties, `on...` listeners, `data` and `aria-...` attributes, and children (strings become text). */
export function el(tag, options = {}, ...children) {
  return fill(document.createElement(tag), options, children);
}

/** The same for SVG. */
export function svg(tag, options = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), options, children);
}

function fill(node, options, children) {
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "data") Object.assign(node.dataset, value);
    else node.setAttribute(name === "className" ? "class" : name, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** What an object itself has under a name that a file gave; never what all objects have, such as "constructor". */
export const own = (object, name) => (Object.hasOwn(object ?? {}, name) ? object[name] : undefined);

export const byId = (id) => document.getElementById(id);

/** Change a text only when it differs, so that nothing is painted or read out again for nothing. */
export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Read something out to those who listen instead of looking. */
export function say(text) {
  put(byId("said"), text);
}

/** A state as shape, colour and word. */
export function state(node, kind, words) {
  node.className = `state ${kind}`;
  put(node, words);
}

/** JSON from the server; an error carries the server's own message and advice. */
export async function ask(path, options = {}) {
  const answer = await fetch(path, options);
  const body = await answer.json();
  if (body?.error) throw Object.assign(new Error(body.error.message), { advice: body.error.advice, status: answer.status });
  return body;
}

/** Send a JSON body. */
export function send(path, body, method = "POST") {
  return ask(path, { method, headers: { "content-type": "application/json" }, body: body === undefined ? undefined : JSON.stringify(body) });
}

/** A small picture of a curve: pairs of (x, y), stretched to the box. */
export function sparkline(pairs, label) {
  const picture = svg("svg", { viewBox: "0 0 100 24", preserveAspectRatio: "none", role: "img", "aria-label": label });
  if (pairs.length < 2) return picture;
  const xs = pairs.map((pair) => pair[0]), ys = pairs.map((pair) => pair[1]);
  const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const points = pairs.map(([x, y]) => `${(100 * (x - left) / (right - left || 1)).toFixed(2)},${(22 - 20 * (y - low) / (high - low || 1)).toFixed(2)}`);
  picture.append(svg("polyline", { points: points.join(" "), fill: "none", stroke: "currentColor", "stroke-width": 1.4, "vector-effect": "non-scaling-stroke", "stroke-linejoin": "round" }));
  return picture;
}
