// Why documents were left out: what each reason means, in which colour it stands, and some of each to look at.

import { el, own, svg } from "./dom.js";
import { DASH, whole } from "./format.js";

const LONGEST = 700; // characters of an example that are shown
const COLOURS = ["series-2", "series-3", "series-5", "series-4"];

/** What a reason means, in the words of docs/corpus.md. */
export const MEANINGS = {
  "anachronisms": "speaks of things that were not there yet",
  "contaminated": "holds what the model will be measured on",
  "duplicate": "the same words stand in another document",
  "ellipses": "lines that break off",
  "empty": "no words at all",
  "encoding-damage": "characters lost, or read in the wrong encoding",
  "few-letters": "too many words without a letter",
  "furniture": "what a web page says around its text",
  "leaked-prompt": "an agent's instructions where a person's words should stand",
  "list-like": "most lines are items of a list or table",
  "long-paragraph": "paragraphs that the context cannot hold",
  "low-variety": "the same pairs of words again and again",
  "near-duplicate": "nearly the same text stands in another document",
  "no-sentences": "none of the small words that sentences are made with",
  "personal-data": "addresses, telephone or account numbers",
  "published-late": "says that it was published later than its source",
  "repeated-lines": "lines or paragraphs that were there before",
  "repeated-words": "runs of words that were there before",
  "scanning-damage": "words misread by a scanner",
  "secret": "a key, token or password",
  "symbols": "too many hashes or ellipses",
  "too-short": "too few words",
  "word-length": "words too short or too long to be prose",
  "wrong-language": "another language than the source's",
  "wrong-script": "another script than the language's",
};

export const share = (part, all) => {
  if (!all) return DASH;
  const percent = 100 * part / all;
  if (percent > 0 && percent < 0.1) return "<0.1%";
  return `${percent >= 9.95 || percent === 0 ? Math.round(percent) : percent.toFixed(1)}%`;
};

export const clip = (text, longest = LONGEST) => (text.length > longest ? `${text.slice(0, longest)} …` : text);

/** A name that a file gave, which may run from right to left. */
export const called = (name) => el("bdi", {}, clip(String(name), 120));

/** [reason, documents] of one source, most first; what is there twice is one of them. */
export function losses(source) {
  const found = Object.entries(source.dropped);
  if (source.duplicates) found.push(["duplicates", source.duplicates]);
  return found.sort((a, b) => b[1] - a[1]);
}

/** The colour of each reason: one each for those that took most, the same in every bar, and one for all others. */
export function palette(sources) {
  const totals = new Map();
  for (const [reason, count] of sources.flatMap(losses)) totals.set(reason, (totals.get(reason) ?? 0) + count);
  const most = [...totals].sort((a, b) => b[1] - a[1]).map(([reason]) => reason);
  const named = new Map(most.slice(0, COLOURS.length).map((reason, at) => [reason, COLOURS[at]]));
  return { named, rest: most.length > COLOURS.length, of: (reason) => named.get(reason) ?? "series-6" };
}

/** A thin bar: what is kept, then what was lost by reason. */
export function bar(source, colours) {
  const all = source.documents_in, list = losses(source);
  const words = all ? `${share(source.documents_kept, all)} kept${list.map(([reason, count]) => `, ${share(count, all)} ${reason}`).join("")}` : "no documents";
  const picture = svg("svg", { class: "stack", viewBox: "0 0 1000 6", preserveAspectRatio: "none", role: "img", "aria-label": words });
  let at = 0;
  const order = [...colours.named.keys()];
  const place = (reason) => { const found = order.indexOf(reason); return found < 0 ? order.length : found; };
  for (const [reason, count] of [["kept", source.documents_kept], ...list.sort((a, b) => place(a[0]) - place(b[0]))]) {
    const width = 1000 * count / (all || 1);
    if (width > 0) picture.append(svg("rect", { x: at, y: 0, width: Math.max(width, 3), height: 6, class: reason === "kept" ? "kept" : `fill-${colours.of(reason)}` }));
    at += width;
  }
  return picture;
}

/** What the colours of the bars mean. */
export function keys(colours) {
  const one = (kind, words) => el("span", { className: "swatch" }, el("i", { className: kind, "aria-hidden": "true" }), words);
  return [one("kept", "kept"), ...[...colours.named].map(([reason, colour]) => one(`fill-${colour}`, called(reason))), colours.rest && one("fill-series-6", "other reasons")];
}

function reasonItem(source, reason, count, colours) {
  const known = reason === "duplicates" ? "there twice or nearly so; the first is kept" : own(MEANINGS, reason);
  const names = reason === "duplicates" ? ["duplicate", "near-duplicate"] : [reason];
  const examples = names.flatMap((name) => (own(source.examples, name) ?? []).map(([place, text]) => [name, place, text]));
  return el("li", {},
    el("h4", {}, el("i", { className: `fill-${colours.of(reason)}`, "aria-hidden": "true" }), called(reason), " ", el("b", {}, whole(count)), el("span", { className: "quiet" }, ` ${share(count, source.documents_in)}${known ? ` · ${known}` : ""}`)),
    examples.length ? el("ul", { className: "looks" }, examples.map(([name, place, text]) => look(place, text, name === "near-duplicate" && "nearly"))) : el("p", { className: "none" }, "No example was kept."));
}

/** One piece of text to look at: how it begins, and where it stands. */
export function look(place, text, note = "") {
  const words = clip(String(text).trim());
  return el("li", { className: "look" },
    words ? el("p", { className: "voice", dir: "auto" }, words) : el("p", { className: "quiet" }, "no text"),
    el("p", { className: "small quiet where" }, note ? `${note} · ` : "", called(place)));
}

/** The section: a fold a source, in it its reasons. */
export function showReasons(section, sources, colours) {
  const folds = sources.map((source, at) => {
    const list = losses(source), lost = source.documents_in - source.documents_kept;
    if (!list.length) return null;
    const words = `${whole(lost)} of ${whole(source.documents_in)} left out, for ${list.length === 1 ? "one reason" : `${list.length} reasons`}`;
    return el("details", { id: `left-out-${at}`, className: "fold" },
      el("summary", {}, el("h3", {}, called(source.name)), el("span", { className: "quiet" }, words)),
      el("ol", { className: "reasons" }, list.map(([reason, count]) => reasonItem(source, reason, count, colours))));
  });
  const found = folds.filter((fold) => fold);
  section.append(...found, ...(found.length ? [] : [el("p", { className: "none" }, "Nothing was left out.")]));
  return found;
}
