// The list of runs: live, in an order that never changes under the reader's eyes.

import { ask, byId, el, put, say, sparkline, state } from "./dom.js";
import { ago, DASH, fixed, whole } from "./format.js";
import { shortcuts } from "./keys.js";
import { listen } from "./stream.js";
import { explain } from "./tips.js";

const rows = new Map();
let quantities = {};

function describe(name, summary, value) {
  const known = quantities[name];
  return known && { title: known.title, value, measured: known.measured, time: summary.last_seen, command: known.command.replaceAll("RUN", summary.name) };
}

function makeRow(name) {
  const cells = Object.fromEntries(["state", "step", "curve", "loss", "bpb", "speed", "seen"].map((key) => [key, el("td")]));
  const sentence = el("p");
  const bar = el("div");
  const row = {
    summary: null, sentence, bar, word: el("span", { className: "state" }), stepText: el("span"), ...cells,
    node: el("tr", {}, el("td", { className: "who" }, el("a", { href: `/runs/${name}` }, name), sentence), cells.state, cells.step, cells.curve, cells.loss, cells.bpb, cells.speed, cells.seen),
  };
  cells.curve.className = "curve";
  for (const [key, title] of [["step", "step"], ["loss", "loss"], ["bpb", "bits per byte"], ["speed", "tokens/s"], ["seen", "seen"]]) {
    cells[key].className = "number";
    cells[key].dataset.title = title;
  }
  cells.state.append(row.word);
  cells.step.append(row.stepText, el("div", { className: "thin" }, bar));
  explain(cells.loss, () => describe("train_loss", row.summary, cells.loss.textContent));
  explain(cells.bpb, () => describe("val_bpb", row.summary, cells.bpb.textContent));
  explain(cells.speed, () => describe("tokens_per_second", row.summary, cells.speed.textContent));
  explain(cells.step, () => describe("step", row.summary, row.stepText.textContent));
  for (const cell of [cells.step, cells.loss, cells.bpb, cells.speed]) cell.tabIndex = 0;
  return row;
}

function show({ summary, sparkline: curve }) {
  let row = rows.get(summary.name);
  if (!row) {
    row = makeRow(summary.name);
    rows.set(summary.name, row);
    byId("rows").append(row.node);
  }
  if (row.summary && row.summary.status !== summary.status) say(`${summary.name}: ${summary.status}`);
  row.summary = summary;
  put(row.sentence, summary.sentence);
  state(row.word, summary.state, summary.stale ? "silent" : summary.status);
  put(row.stepText, summary.num_steps ? `${whole(summary.step)} of ${whole(summary.num_steps)}` : whole(summary.step));
  row.bar.style.width = `${Math.min(100, 100 * summary.step / (summary.num_steps || 1))}%`;
  row.curve.replaceChildren(curve.length > 1 ? sparkline(curve, `loss from ${fixed(curve[0][1], 2)} to ${fixed(curve.at(-1)[1], 2)}`) : el("span", { className: "quiet small" }, "no steps yet"));
  put(row.loss, fixed(summary.loss, 3));
  put(row.bpb, summary.val_bpb ? fixed(summary.val_bpb.value, 3) : DASH);
  put(row.speed, whole(summary.tokens_per_second));
  put(row.seen, ago(summary.last_seen));
}

function tell() {
  const summaries = [...rows.values()].map((row) => row.summary);
  const training = summaries.filter((summary) => summary.alive).length;
  const bad = summaries.filter((summary) => summary.state === "critical");
  byId("table").hidden = !summaries.length;
  const sentence = byId("sentence");
  sentence.className = `sentence ${bad.length ? "critical" : training ? "well" : ""}`;
  if (!summaries.length) {
    put(sentence, "No runs yet. The first one begins with: coldframe train --run NAME");
    return;
  }
  const runs = `${summaries.length} ${summaries.length === 1 ? "run" : "runs"}`;
  const trouble = bad.length ? ` ${bad.map((summary) => summary.name).join(", ")} ${bad.length === 1 ? "needs" : "need"} a look.` : "";
  put(sentence, `${runs}; ${training ? `${training} with a live trainer` : "none is training now"}.${trouble}`);
}

function showReports(names) {
  byId("reports").hidden = !names.length;
  byId("reports").replaceChildren("Corpus reports: ", ...names.flatMap((name, at) => [at ? ", " : "", el("a", { href: `/corpus/${name}` }, name)]));
}

function drop(name) {
  rows.get(name)?.node.remove();
  rows.delete(name);
}

async function begin() {
  const page = await ask("/runs.json");
  quantities = page.quantities;
  showReports(page.reports);
  const weight = ({ summary }) => (summary.alive ? 1e12 : 0) + (summary.last_seen ?? 0);
  for (const row of page.runs.sort((a, b) => weight(b) - weight(a))) show(row);
  tell();
  listen("/stream", null, {
    all: ({ names }) => { for (const name of rows.keys()) if (!names.includes(name)) drop(name); tell(); },
    run: (row) => { show(row); tell(); },
    gone: ({ name }) => { drop(name); tell(); },
    beat: () => {},
  });
  setInterval(() => { for (const row of rows.values()) put(row.seen, ago(row.summary.last_seen)); }, 5000);
}

shortcuts([
  ["1", "open the first run", () => open(1)], ["2", "the second", () => open(2)], ["3", "the third", () => open(3)],
  ["/", "to the list", () => byId("rows").querySelector("a")?.focus()],
]);

function open(at) {
  const link = byId("rows").querySelectorAll("a")[at - 1];
  if (link) location.assign(link.href);
}

begin().catch((error) => {
  put(byId("sentence"), "The runs cannot be read.");
  state(byId("line"), "critical", "not connected");
  byId("sentence").className = "sentence critical";
  byId("notice").hidden = false;
  put(byId("notice"), `${error.message}. ${error.advice ?? "Is the explorer still running? Reload to try again."}`);
});
