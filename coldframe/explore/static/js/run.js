// A run's page: reads how it stands, draws the evidence, then follows the stream from where the reading ended.

import { Board } from "./board.js";
import { Chat } from "./chat.js";
import { ask, byId, el, put, say, state } from "./dom.js";
import { ago, bytes, clock, duration, fixed, large, short, whole } from "./format.js";
import { shortcuts } from "./keys.js";
import { Samples } from "./samples.js";
import { Steering } from "./steering.js";
import { listen } from "./stream.js";
import { Table } from "./tables.js";
import { figure } from "./tips.js";

const name = decodeURIComponent(location.pathname.split("/")[2] ?? "");
const path = `/runs/${name}`;
const page = {}; // the run's page as JSON, its summary kept up to date

function about(quantity, value, time) {
  const known = page.quantities[quantity];
  return { title: known.title, value, measured: known.measured, time, command: known.command.replaceAll("RUN", name) };
}

/** The numbers under the sentence; each is one node that lives on, so that a tip stays open while it changes. */
class Figures {
  constructor() { this.nodes = new Map(); }

  set(title, text, tip) {
    if (!text) { // not measured any more: an old figure beside a new sentence would lie
      this.nodes.get(title)?.node.closest("div").remove();
      this.nodes.delete(title);
      return;
    }
    let kept = this.nodes.get(title);
    if (!kept) {
      kept = { tip };
      kept.node = figure(text, () => kept.tip());
      this.nodes.set(title, kept);
      byId("figures").append(el("div", {}, el("dt", {}, title), el("dd", {}, kept.node)));
    }
    kept.tip = tip;
    put(kept.node, text);
  }
}

const figures = new Figures();

function showSummary(summary) {
  const before = page.summary?.status;
  page.summary = summary;
  const sentence = byId("sentence");
  sentence.className = `sentence ${summary.state}`;
  put(sentence, summary.sentence);
  document.title = `${name}: ${summary.status} · coldframe`;
  if (before && before !== summary.status) say(`${name} is ${summary.status}`);
  const part = Math.min(100, 100 * summary.step / (summary.num_steps || 1));
  const bar = byId("progress");
  bar.firstElementChild.style.width = `${part}%`;
  bar.setAttribute("aria-valuenow", summary.step);
  bar.setAttribute("aria-valuemax", summary.num_steps || 1);
  const { val_bpb: bpb, hardware } = summary, seen = summary.last_seen;
  figures.set("step", summary.num_steps ? `${whole(summary.step)} of ${whole(summary.num_steps)}` : whole(summary.step), () => about("step", whole(summary.step), seen));
  figures.set("loss", summary.loss === null ? "" : fixed(summary.loss, 3), () => ({ ...about("train_loss", `${fixed(summary.loss, 4)}, mean of the last ${summary.loss_steps} steps`, seen) }));
  figures.set("bits per byte", bpb ? `${fixed(bpb.value, 3)}${bpb.low === null ? "" : ` (${fixed(bpb.low, 3)} to ${fixed(bpb.high, 3)})`}` : "not measured yet", () => ({ ...about("val_bpb", bpb && fixed(bpb.value, 4), bpb?.time), extra: bpb ? [["at", `step ${whole(bpb.step)}`], ["n", whole(bpb.n)]] : [] }));
  figures.set("speed", summary.tokens_per_second === null ? "" : `${whole(summary.tokens_per_second)} tokens/s`, () => about("tokens_per_second", `${whole(summary.tokens_per_second)} tokens/s`, seen));
  if (hardware) showHardware(hardware);
  figures.set("last seen", seen ? ago(seen) : "never", () => ({ ...about("hardware", clock(seen), seen), title: "Newest heartbeat", extra: [["trainer", hardware && `process ${hardware.pid} on ${hardware.host}`]] }));
  steering.offer(summary);
}

function showHardware(hardware) {
  const tell = (title, value) => () => ({ ...about("hardware", value, hardware.time), title });
  const lines = [
    ["memory", hardware.memory_bytes, bytes], ["device memory", hardware.device_memory_bytes, bytes], ["busy", hardware.utilisation, (value) => `${Math.round(100 * value)}%`],
    ["MFU", hardware.mfu, (value) => `${Math.round(100 * value)}%`], ["temperature", hardware.temperature, (value) => `${Math.round(value)} °C`],
    ["power", hardware.power_watts, (value) => `${Math.round(value)} W`], ["energy so far", hardware.energy_joules, (value) => `${short(value / 3.6e6)} kWh`],
  ];
  for (const [title, value, write] of lines) if (value !== null) figures.set(title, write(value), tell(title, write(value)));
}

const steering = new Steering(page, path);
const tables = {
  events: new Table(byId("events"), [
    ["Step", (row) => whole(row.step), "number"], ["When", (row) => clock(row.time), "nowrap"], ["Kind", (row) => el("span", { className: `state ${{ warning: "watch", error: "critical" }[row.level] ?? ""}` }, row.kind), "nowrap"],
    ["", (row) => row.message, "words", (row) => ({ title: row.kind, value: row.level, time: row.time, extra: Object.entries(row.detail).map(([key, value]) => [key, typeof value === "object" ? JSON.stringify(value) : value]) })],
  ], { none: "Nothing out of the ordinary has happened yet.", label: "Events" }),
  checkpoints: new Table(byId("checkpoints"), [
    ["Step", (row) => whole(row.step), "number"], ["When", (row) => clock(row.time), "nowrap"], ["Holds", (row) => ({ whole: "everything", weights: "weights only", nothing: "dropped" })[row.contains]],
    ["Bits per byte", (row) => fixed(row.val_bpb, 3), "number", (row) => about("val_bpb", fixed(row.val_bpb, 4), row.time)],
    ["Size", (row) => bytes(row.num_bytes), "number", (row) => checkpointTip(row)], ["Stood still", (row) => duration(row.stall_seconds), "number", (row) => checkpointTip(row)], ["Why", (row) => row.reason],
  ], { none: "No checkpoint yet.", label: "Checkpoints" }),
  stages: new Table(byId("stages"), [
    ["From block", (row) => whole(row.start_block), "number"], ["Shares", (row) => Object.entries(row.shares).map(([source, share]) => `${source} ${Math.round(100 * share)}%`).join(", "), "words"],
    ["By", (row) => row.by], ["Why", (row) => row.why, "words", (row) => ({ title: "Stage", value: row.why, time: row.time, extra: Object.entries(row.sources).map(([source, hash]) => [source, hash]) })],
  ], { none: "The mixture is written down when training begins.", label: "Stages of the mixture" }),
};

function checkpointTip(row) {
  return { ...about("checkpoint", bytes(row.num_bytes), row.time), extra: [["written in", duration(row.seconds)], ["stood still", duration(row.stall_seconds)], ["weights", row.weights_sha256.slice(0, 16)], ["folder", row.folder]], command: `coldframe chat ${name} --step ${row.step}` };
}

function plainValue(value) {
  if (typeof value === "number") return Number.isInteger(value) ? (Math.abs(value) >= 1e6 ? `${whole(value)} (${large(value)})` : whole(value)) : short(value);
  return typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
}

/** The plan and its reasons; what else run.toml holds folded away below. */
function showPlan(rows) {
  const rest = el("section", {}, el("header"));
  planTable(byId("plan"), rows.filter((row) => row.table === "plan"), "Plan");
  byId("plan").append(el("details", {}, el("summary", {}, "Settings, sources and environment"), rest));
  planTable(rest, rows.filter((row) => row.table !== "plan"), "Settings, sources and environment");
  const every = rows.find((row) => row.name === "sample_every")?.value;
  return typeof every === "number" ? every : null;
}

function planTable(section, rows, label) {
  const table = new Table(section, [
    ["Setting", (row) => [row.table && row.table !== "plan" && el("span", { className: "quiet" }, `${row.table}.`), row.name], "nowrap"], ["Value", (row) => plainValue(row.value)], ["Because", (row) => row.reason, "reason"],
  ], { none: "The plan is empty.", id: (row) => `${row.table}.${row.name}`, oldestFirst: true, label });
  table.all = true;
  table.add(rows);
}

async function begin() {
  put(byId("name"), name);
  byId("twin").href = `${path}.json`;
  Object.assign(page, await ask(`${path}.json`));
  showSummary(page.summary);
  byId("corpus").href = `${path}/corpus`;
  byId("corpus").hidden = !page.corpus;
  byId("board").hidden = false;
  const rows = (table, limit) => ask(`${path}/${table}.json?newest=true&limit=${limit}`).then((answer) => answer.rows);
  const [drawing, evals, samples, events, requests, checkpoints, stages, plan] = await Promise.all([
    drawn(), rows("evals", 5000), rows("samples", 2000), rows("events", 500), ask(`${path}/requests.json`), rows("checkpoints", 1000), rows("stages", 500), ask(`${path}/plan.json`),
  ]);
  const board = drawing;
  board?.addScores(evals);
  board?.draw();
  const shown = new Samples(page, showPlan(plan.rows));
  shown.add(samples);
  tables.events.add(events);
  tables.checkpoints.add(checkpoints);
  tables.stages.add(stages);
  steering.outcomes(requests.outcomes);
  steering.waiting(requests.waiting);
  follow(board, shown);
}

/** The charts; without the drawing library the rest of the page still serves. */
async function drawn() {
  let uPlot;
  try {
    uPlot = (await import("/static/vendor/uPlot.esm.js")).default;
  } catch {
    notice("The charts cannot be drawn: uPlot is not installed beside this page. Install coldframe again (make demo does it); the numbers are at metrics.json.");
    return null;
  }
  const board = new Board(uPlot, page, path);
  board.curves.segment = page.summary.segment;
  await board.load();
  return board;
}

function follow(board, samples) {
  listen(`${path}/stream`, page.cursor, {
    status: showSummary,
    steps: (rows) => board?.append(rows),
    evals: (rows) => { board?.addScores(rows); board?.draw(); },
    samples: (rows) => samples.add(rows),
    events: (rows) => tables.events.add(rows),
    outcomes: (rows) => steering.outcomes(rows),
    checkpoints: (rows) => tables.checkpoints.add(rows),
    checkpoints_changed: (rows) => tables.checkpoints.add(rows),
    stages: (rows) => tables.stages.add(rows),
    published: () => chat.look(),
    reset: () => location.reload(),
  });
  setInterval(() => figures.set("last seen", page.summary.last_seen ? ago(page.summary.last_seen) : "never", figures.nodes.get("last seen")?.tip), 5000);
}

function notice(words) {
  byId("notice").hidden = false;
  put(byId("notice"), words);
}

function nextAxis() {
  const buttons = [...byId("axes").querySelectorAll("[aria-pressed]")];
  buttons[(buttons.findIndex((button) => button.ariaPressed === "true") + 1) % buttons.length]?.click();
}

let chat = null;
const to = (id) => () => { byId(id).scrollIntoView(); byId(id).querySelector("[tabindex='0'], button, input, textarea")?.focus({ preventScroll: true }); };
shortcuts([
  ["/", "talk", () => byId("say")?.focus()], ["c", "charts", to("charts")], ["s", "samples", to("samples")], ["e", "events", to("events")], ["k", "checkpoints", to("checkpoints")], ["l", "plan", to("plan")],
  ["x", "next axis: steps, tokens, hours", nextAxis],
  ["p", "pause or resume", () => { steering.press("pause"); steering.press("resume"); }], ["w", "write a checkpoint", () => steering.press("checkpoint")], ["q", "stop, after asking", () => steering.press("stop")],
  ["v", "its corpus", () => { if (page.corpus) location.assign(`${path}/corpus`); }], ["r", "all runs", () => location.assign("/")],
]);

begin().then(() => { chat = new Chat(path, name, page); }).catch((error) => {
  byId("sentence").className = "sentence critical";
  put(byId("sentence"), error.status === 404 || error.status === 400 ? `${error.message[0].toUpperCase()}${error.message.slice(1)}.` : "This run cannot be read.");
  state(byId("line"), "critical", "not connected");
  notice(`${error.status ? "" : `${error.message}. `}${error.advice ?? "Is the explorer still running? Reload to try again."}`);
});
