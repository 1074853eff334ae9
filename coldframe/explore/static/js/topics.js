// The map of topics: a bubble each, as large as its share, near to what is alike, in the colour of its main source.

import { el, own, svg } from "./dom.js";
import { fixed, whole } from "./format.js";
import { called, clip, look, share } from "./reasons.js";

const FILLED = 0.3; // of the map, were the bubbles to cover everything
const LINE = 15;

const mainSource = (topic) => Object.entries(topic.by_source ?? {}).sort((a, b) => b[1] - a[1])[0]?.[0];
const words = (topic, count) => (topic.words ?? []).slice(0, count).map((word) => clip(String(word), 24));
const pen = document.createElement("canvas").getContext("2d");
const widest = (lines) => { pen.font = `13px ${getComputedStyle(document.body).fontFamily}`; return Math.max(...lines.map((line) => pen.measureText(line).width)); };
const percent = (part) => share(part ?? 0, 1);

/** Where each bubble lies, in pixels: at its place in the plane, pushed apart where two would cover each other. */
export function placed(topics, width, height) {
  const most = Math.max(...topics.map((topic) => topic.share ?? 0), 1e-9);
  const unit = Math.min(Math.sqrt(FILLED * width * height / Math.PI), Math.min(width, height) / 4 / Math.sqrt(most));
  const bubbles = topics.map((topic, at) => ({
    topic, at, radius: Math.max(5, unit * Math.sqrt(topic.share ?? 0)), x: (1 + (topic.x ?? 0)) / 2 * width, y: (1 - (topic.y ?? 0)) / 2 * height,
  }));
  for (let round = 0; round < 120; round++) {
    for (const [at, one] of bubbles.entries()) {
      for (const other of bubbles.slice(at + 1)) part(one, other);
    }
    for (const one of bubbles) {
      one.x = Math.min(width - one.radius - 2, Math.max(one.radius + 2, one.x));
      one.y = Math.min(height - one.radius - 2, Math.max(one.radius + 2, one.y));
    }
  }
  return bubbles;
}

function part(one, other) {
  let across = other.x - one.x, down = other.y - one.y;
  if (!across && !down) [across, down] = [Math.cos(other.at), Math.sin(other.at)]; // the same place: any way apart will do
  const distance = Math.hypot(across, down), missing = one.radius + other.radius + 3 - distance;
  if (missing <= 0) return;
  const heavy = one.radius ** 2 + other.radius ** 2;
  for (const [bubble, way, weight] of [[one, -1, other.radius ** 2], [other, 1, one.radius ** 2]]) {
    bubble.x += way * across / distance * missing * weight / heavy;
    bubble.y += way * down / distance * missing * weight / heavy;
  }
}

/** A label for each bubble that has room for one, within it or beside it, on no other label. */
function labels(bubbles, width, height) {
  const taken = [], found = new Map();
  const free = (box) => box.left > 0 && box.right < width && box.top > 0 && box.bottom < height && !taken.some((other) => box.left < other.right && box.right > other.left && box.top < other.bottom && box.bottom > other.top);
  for (const bubble of [...bubbles].sort((a, b) => b.radius - a.radius)) {
    const inner = Math.floor(1.75 * bubble.radius / LINE) > 0 ? fitting(bubble) : [];
    const lines = inner.length ? inner : words(bubble.topic, 1);
    if (!lines.length) continue;
    const wide = widest(lines), high = LINE * lines.length;
    const beside = bubble.radius + 5 + wide / 2;
    const places = inner.length ? [[0, 0]] : [[beside, 0], [-beside, 0], [0, bubble.radius + high / 2 + 2], [0, -bubble.radius - high / 2 - 2]];
    for (const [across, down] of places) {
      const x = bubble.x + across, y = bubble.y + down;
      const box = { left: x - wide / 2, right: x + wide / 2, top: y - high / 2, bottom: y + high / 2 };
      if (!inner.length && bubbles.some((other) => other !== bubble && covers(other, box))) continue;
      if (!free(box)) continue;
      taken.push(box);
      found.set(bubble, { x, y, lines });
      break;
    }
  }
  return found;
}

function covers({ x, y, radius }, box) {
  const across = Math.max(box.left - x, 0, x - box.right), down = Math.max(box.top - y, 0, y - box.bottom);
  return across * across + down * down < radius * radius;
}

/** As many of a topic's words as stand one below the other within its bubble. */
function fitting({ topic, radius }) {
  for (let count = Math.min(4, topic.words?.length ?? 0); count > 0; count--) {
    const lines = words(topic, count);
    if (Math.hypot(widest(lines), LINE * count - 4) < 2 * radius - 4) return lines;
  }
  return [];
}

export function showTopics(section, note, { topics, effective_topics: effective, sample }, sources) {
  const totals = new Map();
  for (const topic of topics) for (const [name, part] of Object.entries(topic.by_source ?? {})) totals.set(name, (totals.get(name) ?? 0) + part * (topic.share ?? 0));
  const ranked = [...totals].sort((a, b) => b[1] - a[1]).map(([name]) => name);
  const colour = (name) => `series-${ranked.includes(name) ? Math.min(6, ranked.indexOf(name) + 1) : 6}`;
  note.textContent = [sample?.documents && `${whole(sample.documents)} passages looked at`, effective && `as varied as ${fixed(effective, effective < 10 ? 1 : 0)} topics of one size`, "what is near is alike"].filter(Boolean).join("; ");

  const order = topics.map((topic, at) => at).sort((a, b) => (topics[b].share ?? 0) - (topics[a].share ?? 0));
  const detail = el("div", { className: "detail", id: "topic" });
  const canvas = el("div", { className: "canvas" });
  const groups = new Map();
  let chosen = order[0];

  function tell(at) {
    const topic = topics[at];
    for (const [old, group] of groups) {
      group.classList.toggle("chosen", old === at);
      group.setAttribute("tabindex", old === at ? 0 : -1); // one stop of the Tab key, arrows within
    }
    chosen = at;
    const parts = Object.entries(topic.by_source ?? {}).filter(([, part]) => part > 0).sort((a, b) => b[1] - a[1]);
    detail.replaceChildren(
      el("h3", {}, words(topic, 12).flatMap((word, row) => [row ? ", " : "", el("bdi", {}, word)])),
      el("p", { className: "small quiet" }, `${percent(topic.share)} of the sample`),
      el("ul", { className: "parts" }, parts.slice(0, 6).map(([name, part]) => el("li", {}, el("i", { className: `fill-${colour(name)}`, "aria-hidden": "true" }), el("span", {}, called(name)), el("span", { className: "quiet" }, percent(part))))),
      el("ul", { className: "looks" }, (topic.examples ?? []).slice(0, 3).map(([place, text]) => look(place, clip(String(text), 280)))));
  }

  function move(event) {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const next = event.key === "Home" ? 0 : event.key === "End" ? order.length - 1 : by && order.indexOf(chosen) + by;
    if (next === undefined || !(next in order)) return;
    event.preventDefault();
    groups.get(order[next]).focus();
  }

  function draw() {
    const width = Math.round(canvas.clientWidth), height = Math.round(Math.min(560, Math.max(320, width * 0.62)));
    if (!width) return;
    const held = canvas.contains(document.activeElement);
    const bubbles = placed(topics, width, height), named = labels(bubbles, width, height);
    groups.clear();
    const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": "Map of topics, the largest first; arrow keys go from one to the next", onkeydown: move });
    for (const at of order) {
      const { topic, x, y, radius } = bubbles[at], main = mainSource(topic), label = named.get(bubbles[at]);
      const group = svg("g", { class: "bubble", role: "img", "aria-label": `${words(topic, 6).join(", ")}; ${percent(topic.share)} of the sample${main === undefined ? "" : `, most of it from ${clip(main, 60)}, ${percent(topic.by_source[main])}`}`, onfocus: () => tell(at), onpointerenter: () => tell(at), onclick: () => group.focus() },
        svg("circle", { cx: x, cy: y, r: radius, class: `edge-${colour(main)} fill-${colour(main)}` }),
        label && svg("text", { "text-anchor": "middle" }, label.lines.map((line, row) => svg("tspan", { x: label.x, y: label.y + LINE * (row - (label.lines.length - 1) / 2) + 4.5 }, line))));
      groups.set(at, group);
      picture.append(group);
    }
    canvas.replaceChildren(picture);
    tell(chosen);
    if (held) groups.get(chosen).focus({ preventScroll: true });
  }

  const shown = ranked.slice(0, ranked.length > 6 ? 5 : 6);
  const legend = el("ul", { className: "legend", "aria-label": "Colours: the source that has most of a topic" }, shown.map((name) => el("li", { className: "swatch" }, el("i", { className: `fill-${colour(name)}`, "aria-hidden": "true" }), called(name))), ranked.length > 6 && el("li", { className: "swatch" }, el("i", { className: "fill-series-6", "aria-hidden": "true" }), `${ranked.length - 5} other sources`));
  section.append(el("div", { className: "map" }, el("div", {}, canvas, legend), detail), asTable(topics, order, ranked));
  let before = 0;
  new ResizeObserver(() => { if (canvas.clientWidth !== before) { before = canvas.clientWidth; draw(); } }).observe(canvas);
}

/** The same for those who cannot see it, or would rather read. */
function asTable(topics, order, names) {
  const cell = (value, kind = "number") => el("td", { className: kind }, value);
  return el("details", { className: "fold" }, el("summary", {}, el("h3", {}, "The same as a table"), el("span", { className: "quiet" }, `${topics.length} topics`)),
    el("div", { className: "wide-table", tabindex: 0, role: "region", "aria-label": "Topics" }, el("table", { "aria-label": "Topics" },
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Topic"), el("th", { scope: "col", className: "number" }, "Share"), names.map((name) => el("th", { scope: "col", className: "number" }, called(name))))),
      el("tbody", {}, order.map((at) => el("tr", {}, el("td", { className: "words", dir: "auto" }, words(topics[at], 8).join(", ")), cell(percent(topics[at].share)), names.map((name) => cell(percent(own(topics[at].by_source, name))))))))));
}
