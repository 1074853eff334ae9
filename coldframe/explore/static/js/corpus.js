// The page of a corpus: one sentence that answers, a line for each source, and the evidence below.

import { showCuration } from "./curation.js";
import { ask, byId, el, own, put } from "./dom.js";
import { ago, bytes, clock, DASH, fixed, large, whole } from "./format.js";
import { shortcuts } from "./keys.js";
import { bar, called, clip, keys, losses, palette, share, showReasons } from "./reasons.js";
import { Table } from "./tables.js";
import { figure } from "./tips.js";

const path = location.pathname;
const [, kind, second] = path.split("/");
const ofRun = kind === "runs";
const name = decodeURIComponent(second ?? "");
const total = (sources, key) => sources.reduce((sum, source) => sum + (source[key] ?? 0), 0);
const list = (names) => (names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`);
const few = (sources) => {
  const names = sources.map((source) => clip(source.name, 60));
  return list(names.length > 3 ? [...names.slice(0, 2), `${names.length - 2} more`] : names);
};

/** What the report says in one breath, and how well that is. */
function answer(sources) {
  const all = total(sources, "documents_in"), kept = total(sources, "documents_kept"), twice = total(sources, "duplicates"), bad = total(sources, "quarantined");
  if (!sources.length) return ["watch", "This report speaks of no source."];
  const parts = [`${whole(kept)} of ${whole(all)} ${all === 1 ? "document" : "documents"} ${kept === 1 ? "is" : "are"} good text`];
  if (twice) parts.push(`${whole(twice)} ${twice === 1 ? "is" : "are"} there twice`);
  if (bad) parts.push(`${whole(bad)} could not be read`);
  const exempt = sources.filter((source) => source.unfiltered);
  const nothing = sources.filter((source) => !source.documents_kept);
  const most = sources.filter((source) => source.documents_kept && source.documents_kept < source.documents_in / 2);
  const trouble = [
    exempt.length && `Not filtered: ${few(exempt)}.`,
    nothing.length && `Nothing is left of: ${few(nothing)}.`,
    most.length && `Mostly left out: ${few(most)}.`,
  ].filter(Boolean);
  const state = nothing.length || kept < all / 2 ? "critical" : trouble.length ? "watch" : "well";
  return [state, [`${parts.join("; ")}.`, ...trouble].join(" ")];
}

function told(title, value, measured, extra = []) {
  return { title, value, measured, time: report.made, extra, command: ofRun ? undefined : `coldframe corpus report PATHS --page ${name}` };
}

const IN = "every document that was read from its sources";
const KEPT = "the documents that every filter and the search for duplicates keep";

function showFigures(sources) {
  const counted = sources.every((source) => source.tokens !== null);
  const lines = [
    ["sources", whole(sources.length), () => told("Sources", whole(sources.length), "the folders of documents that were given")],
    ["kept", bytes(total(sources, "bytes_kept")), () => told("Text that is kept", `${whole(total(sources, "bytes_kept"))} bytes of UTF-8`, KEPT, [["of", `${whole(total(sources, "bytes_in"))} bytes`]])],
    ["tokens", counted ? large(total(sources, "tokens")) : "not measured", () => told("Tokens", counted ? whole(total(sources, "tokens")) : "not measured", counted ? KEPT : "a tokenizer was not given: --tokenizer FILE counts them")],
    ["made", ago(report.made), () => told("Made", clock(report.made), "")],
  ];
  byId("figures").append(...lines.map(([title, text, tip]) => el("div", {}, el("dt", {}, title), el("dd", {}, figure(text, tip)))));
}

const missing = (value, write) => (value === null || value === undefined ? el("span", { className: "quiet", "aria-label": "not measured" }, DASH) : write(value));

/** The table's columns. */
function columns(colours, qualities) {
  const lost = (source) => source.documents_in - source.documents_kept;
  const quality = (source) => source.quality ?? own(qualities, source.name)?.median;
  return [
    ["Source", (source) => [el("p", { className: "name" }, losses(source).length ? el("a", { href: `#left-out-${source.at}`, onclick: () => open(source.at) }, called(source.name)) : called(source.name)), bar(source, colours)], "who"],
    ["Kind", (source) => source.kind, "kind"],
    ["Licence", (source) => called(source.licence), "licence"],
    ["In", (source) => whole(source.documents_in), "number", (source) => told("In", `${whole(source.documents_in)} documents`, IN, [["bytes", whole(source.bytes_in)]])],
    ["Out", (source) => whole(source.documents_kept), "number", (source) => told("Out", `${whole(source.documents_kept)} documents`, KEPT, [["bytes", whole(source.bytes_kept)]])],
    ["Left out", (source) => [whole(lost(source)), " ", el("span", { className: "quiet share" }, share(lost(source), source.documents_in))], "number", (source) => told("Left out", whole(lost(source)), IN, losses(source).map(([reason, count]) => [reason, `${whole(count)} (${share(count, source.documents_in)})`]))],
    ["Twice", (source) => whole(source.duplicates), "number", (source) => told("There twice", `${whole(source.duplicates)} documents`, "what the filters keep, compared with all sources of the report; the first is kept")],
    ["Unreadable", (source) => whole(source.quarantined), "number", (source) => told("Unreadable", `${whole(source.quarantined)} pieces`, "pieces that were set aside while reading, each with its reason in the folder's manifest.json")],
    ["MB", (source) => fixed(source.bytes_kept / 1e6, 2), "number", (source) => told("MB", `${whole(source.bytes_kept)} bytes of UTF-8`, KEPT)],
    ["Tokens", (source) => missing(source.tokens, large), "number", (source) => told("Tokens", source.tokens === null ? "not measured" : whole(source.tokens), KEPT)],
    ["Epochs", (source) => missing(source.epochs_planned, (value) => fixed(value, 2)), "number", (source) => told("Epochs planned", source.epochs_planned ?? "not measured", "how often the kept text will be read in the training that is planned")],
    ["Quality", (source) => missing(quality(source), (value) => fixed(value, 0)), "number", (source) => told("Quality", quality(source) ?? "not measured", source.quality === null && quality(source) !== undefined ? "the middle passage of a sample" : "")],
  ];
}

function showSources(sources, colours, qualities) {
  const table = new Table(byId("sources"), columns(colours, qualities), { none: "No source.", id: (source) => source.at, oldestFirst: true, label: "Sources" });
  table.all = true;
  table.add(sources.map((source, at) => ({ ...source, at })));
  byId("keys").append(...keys(colours).filter(Boolean));
}

function showExempt(sources) {
  const exempt = sources.filter((source) => source.unfiltered);
  byId("exempt").hidden = !exempt.length;
  byId("exempt").append(...exempt.map((source) => el("li", {}, el("b", { className: "state watch" }, "not filtered: ", called(source.name)), el("span", { dir: "auto" }, clip(source.unfiltered)))));
}

let report = null, folds = [];

function open(at) {
  byId(`left-out-${at}`).open = true;
}

function unfold() {
  const opened = folds.some((fold) => !fold.open);
  for (const fold of folds) fold.open = opened;
  tellFolds();
}

function tellFolds() {
  put(byId("unfold"), folds.some((fold) => !fold.open) ? "open all" : "close all");
}

/** Links to what is on this page; a run's corpus leads back to the run. */
function navigate() {
  const here = [...document.querySelectorAll("section[data-title]")].filter((section) => !section.hidden && !byId("report").hidden);
  byId("nav").replaceChildren(...(ofRun ? [el("a", { href: `/runs/${name}` }, "Run")] : []), ...here.map((section) => el("a", { href: `#${section.id}` }, section.dataset.title)));
}

async function begin() {
  put(byId("name"), ofRun ? `${name} corpus` : name);
  byId("twin").href = `${path}.json`;
  navigate();
  document.title = `Corpus of ${name} · coldframe`;
  report = await ask(`${path}.json`);
  const { sources } = report, curation = report.curation ?? {};
  const [state, words] = answer(sources);
  byId("sentence").className = `sentence ${state}`;
  put(byId("sentence"), words);
  showFigures(sources);
  showExempt(sources);
  const colours = palette(sources);
  showSources(sources, colours, curation.quality ?? {});
  folds = showReasons(byId("dropped"), sources, colours);
  byId("unfold").hidden = !folds.length;
  byId("unfold").addEventListener("click", unfold);
  for (const fold of folds) fold.addEventListener("toggle", tellFolds);
  byId("report").hidden = false;
  showCuration(curation, sources);
  navigate();
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

const to = (id) => () => {
  const section = byId(id);
  if (section.hidden) return;
  section.scrollIntoView();
  section.querySelector("td[tabindex='0'], g[tabindex='0'], summary, .command")?.focus({ preventScroll: true });
};
shortcuts([
  ["s", "sources", to("sources")], ["d", "what was left out", to("dropped")], ["o", "open or close all of it", unfold], ["m", "map of topics", to("topics")], ["q", "quality", to("quality")],
  ["b", "balance", to("balance")], ["p", "proposals", to("proposals")], ["r", ofRun ? "the run" : "all runs", () => location.assign(ofRun ? `/runs/${name}` : "/")],
]);

begin().catch((error) => {
  byId("sentence").className = "sentence critical";
  put(byId("sentence"), error.status === 404 || error.status === 400 ? `${error.message[0].toUpperCase()}${error.message.slice(1)}.` : "This report cannot be read.");
  byId("notice").hidden = false;
  put(byId("notice"), `${error.status === 404 || error.status === 400 ? "" : `${error.message}. `}${error.advice ?? "Is the explorer still running? Reload to try again."}`);
});
