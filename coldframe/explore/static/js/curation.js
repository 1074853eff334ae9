// What curation measured and proposes: topics, quality, style, balance, gaps. What was not measured is not shown.

import { byId, el, svg } from "./dom.js";
import { DASH, fixed, large, short } from "./format.js";
import { called, clip, look, share } from "./reasons.js";
import { showTopics } from "./topics.js";

const percent = (part) => (part === null || part === undefined ? DASH : share(part, 1));
const some = (list) => Array.isArray(list) && list.length > 0;

export function showCuration(curation, sources) {
  if (some(curation.topics)) show("topics", () => showTopics(byId("topics"), byId("topics-note"), curation, sources));
  if (curation.quality && Object.keys(curation.quality).length) show("quality", () => showQuality(byId("quality"), curation.quality));
  if (some(curation.styles)) show("styles", () => showStyles(byId("styles"), curation.styles));
  if (some(curation.balance)) show("balance", () => showBalance(byId("balance"), curation.balance));
  if (some(curation.gaps)) show("gaps", () => showGaps(byId("gaps"), curation.gaps));
  if (some(curation.proposals)) show("proposals", () => showProposals(byId("proposals"), curation.proposals));
}

function show(id, draw) {
  const section = byId(id);
  section.hidden = false;
  if (section.parentNode.classList.contains("pair")) section.parentNode.hidden = false;
  draw();
}

/** A picture of a range on a track; `parts` are drawn in a box of 1000 by 20. */
function track(words, ...parts) {
  return svg("svg", { class: "track", viewBox: "0 0 1000 20", preserveAspectRatio: "none", role: "img", "aria-label": words }, svg("rect", { class: "ground", x: 0, y: 8, width: 1000, height: 4 }), parts);
}

const place = (value, most) => 1000 * Math.min(1, Math.max(0, value / most));

function mark(value, most, kind) {
  return svg("line", { class: kind, x1: place(value, most), x2: place(value, most), y1: 1, y2: 19, "vector-effect": "non-scaling-stroke" });
}

function band(low, high, most) {
  return svg("rect", { class: "band", x: place(low, most), y: 3, width: Math.max(2, place(high, most) - place(low, most)), height: 14 });
}

function table(label, titles, rows, className) {
  return el("div", { className: "wide-table" }, el("table", { className, "aria-label": label },
    el("thead", {}, el("tr", {}, titles.map(([title, kind]) => el("th", { scope: "col", className: kind }, title)))),
    el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map((cell, at) => el("td", { className: titles[at][1], data: { title: titles[at][0].toLowerCase() } }, cell)))))));
}

function showQuality(section, quality) {
  const names = Object.keys(quality);
  const rows = names.map((name) => {
    const { median, low, high } = quality[name];
    const words = `${fixed(median, 0)}, eight of ten between ${fixed(low, 0)} and ${fixed(high, 0)}`;
    return [called(name), track(words, band(low, high, 100), mark(median, 100, "mark")), fixed(median, 0), `${fixed(low, 0)} to ${fixed(high, 0)}`];
  });
  section.append(table("Quality", [["Source", "who"], ["0 to 100", "drawn"], ["Middle", "number"], ["Eight of ten", "number"]], rows, "ranges"));
  const shown = names.filter((name) => some(quality[name].examples));
  if (shown.length) section.append(el("details", { className: "fold" }, el("summary", {}, el("h3", {}, "To look at"), el("span", { className: "quiet" }, "the worst of each source, with their figures")),
    el("ol", { className: "reasons" }, shown.map((name) => el("li", {}, el("h4", {}, called(name)), el("ul", { className: "looks" }, quality[name].examples.map(([score, where, text]) => look(where, text, fixed(score, 0)))))))));
}

function showStyles(section, styles) {
  const measures = [...new Set(styles.flatMap((row) => Object.keys(row)))].filter((key) => key !== "source");
  const cell = (value) => (typeof value === "number" || value === null || value === undefined ? short(value === null || value === undefined ? null : Number(value.toPrecision(3))) : clip(String(value), 60));
  section.append(table("Style", [["Source", "who"], ...measures.map((measure) => [measure.replaceAll("_", " "), "number"])], styles.map((row) => [called(row.source), ...measures.map((measure) => cell(row[measure]))]), "styles"));
}

function showBalance(section, balance) {
  const most = Math.max(...balance.flatMap((row) => [row.natural, row.high, row.proposed].map((value) => value ?? 0)), 0.01) * 1.04;
  const rows = balance.map((row) => {
    const words = `by its size ${percent(row.natural)}, allowed ${percent(row.low)} to ${percent(row.high)}, proposed ${percent(row.proposed)}`;
    return [called(row.source), track(words, band(row.low, row.high, most), mark(row.natural, most, "natural"), mark(row.proposed, most, "mark")), percent(row.natural), `${percent(row.low)} to ${percent(row.high)}`, el("b", {}, percent(row.proposed)), large(row.tokens), fixed(row.epochs, 2)];
  });
  section.append(table("Balance", [["Source", "who"], ["Share of what is read", "drawn"], ["By size", "number"], ["Allowed", "number"], ["Proposed", "number"], ["Tokens", "number"], ["Epochs", "number"]], rows, "ranges"));
  const key = (kind, words) => el("span", { className: "swatch" }, el("i", { className: kind, "aria-hidden": "true" }), words);
  byId("balance-keys").append(key("band", "allowed"), key("natural", "by its size"), key("mark", "proposed"));
}

function showGaps(section, gaps) {
  section.append(el("ul", { className: "gaps" }, gaps.map(({ gap, found, wanted }) => el("li", {}, el("p", { dir: "auto" }, clip(String(gap))),
    el("p", { className: "small quiet" }, `${short(found)} found, ${short(wanted)} wanted`),
    found < wanted && svg("svg", { class: "stack", viewBox: "0 0 1000 6", preserveAspectRatio: "none", "aria-hidden": "true" }, svg("rect", { class: "ground", x: 0, y: 0, width: 1000, height: 6 }), svg("rect", { class: "kept", x: 0, y: 0, width: place(found ?? 0, wanted || 1), height: 6 }))))));
}

function showProposals(section, proposals) {
  section.append(el("ol", { className: "proposals" }, proposals.map((one) => el("li", {},
    el("p", {}, el("b", {}, `${one.number}. `), "add ", el("b", {}, called(one.name)), ` (${one.kind}): about ${large(one.tokens)} tokens, ${short(one.epochs)} ${one.epochs === 1 ? "epoch" : "epochs"}`, one.fills ? [": fills ", el("bdi", {}, clip(String(one.fills)))] : ""),
    el("p", { className: "small quiet" }, el("code", {}, called(one.path ?? "")), one.measured ? " · measured" : " · known by name only: get some of it, ingest it, and name it as a candidate"),
    el("p", {}, el("code", { className: "command" }, `coldframe corpus curate ... ${one.measured ? `--accept ${one.number} --recipe own.toml --why "..."` : "--candidate FOLDER"}`))))));
}
