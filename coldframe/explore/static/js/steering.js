// Asking something of the run: the buttons that make sense now, and what really became of each request.

import { byId, el, put, send } from "./dom.js";
import { clock, whole } from "./format.js";
import { Table } from "./tables.js";

const WORDS = { pause: "Pause", resume: "Resume", checkpoint: "Checkpoint", stop: "Stop" };
const MEANING = {
  pause: "keep the trainer, free its device", resume: "go on training", checkpoint: "write a checkpoint now", stop: "write a checkpoint and end the trainer",
};

export class Steering {
  constructor(page, path) {
    this.page = page;
    this.path = path;
    this.followed = new Map(); // request id -> verb, while pending
    this.offers = "";
    this.table = new Table(byId("requests"), [
      ["Asked", (row) => clock(row.requested), "nowrap"], ["Request", (row) => row.verb, "nowrap"], ["By", (row) => row.by],
      ["Outcome", (row) => `${row.outcome}${row.outcome === "waiting" ? "" : ` at step ${whole(row.step)}`}`, "nowrap"],
      ["", (row) => [row.detail, row.why && el("span", { className: "quiet" }, `${row.detail ? "; " : ""}why: ${row.why}`)], "words"],
    ], { none: "Nothing was asked of this run yet.", id: (row) => row.request, label: "Requests and their outcomes" });
    this.dialog = this.makeDialog();
  }

  makeDialog() {
    const why = el("input", { name: "why", maxlength: 500, autocomplete: "off" });
    const dialog = document.body.appendChild(el("dialog", { "aria-labelledby": "stop-title" },
      el("form", { method: "dialog" }, el("h2", { id: "stop-title" }, "Stop the trainer?"),
        el("p", {}, "It writes a checkpoint, then its process ends. Resume starts it again from there, exactly."),
        el("label", {}, "Why (kept with the outcome; may stay empty)", why),
        el("div", { className: "send" }, el("button", { value: "" }, "Keep training"), el("button", { value: "stop", className: "first" }, "Stop")))));
    dialog.addEventListener("close", () => { if (dialog.returnValue === "stop") this.ask("stop", why.value); why.value = ""; dialog.returnValue = ""; });
    return dialog;
  }

  /** Show the buttons that make sense for the run as it stands. */
  offer(summary) {
    const offers = summary.offers.join();
    if (offers === this.offers) return;
    this.offers = offers;
    const first = summary.offers[0] === "resume" ? "resume" : null;
    byId("actions").replaceChildren(...summary.offers.map((verb) => el("button", { type: "button", data: { verb }, className: verb === first ? "first" : undefined, title: MEANING[verb], onclick: () => this.press(verb) }, WORDS[verb] ?? verb)));
  }

  press(verb) {
    if (!this.offers.split(",").includes(verb)) return;
    if (verb === "stop") this.dialog.showModal();
    else this.ask(verb, "");
  }

  async ask(verb, why) {
    const out = byId("outcome");
    put(out, `${verb}: asked`);
    byId("actions").querySelectorAll("button").forEach((button) => { button.disabled = true; });
    try {
      const answer = await send(`${this.path}/requests`, { verb, why });
      this.tell(answer.verb, answer.outcome, answer.step, answer.detail);
      if (answer.outcome === "pending" && answer.request) {
        this.followed.set(answer.request, verb);
        this.table.add([{ request: answer.request, requested: Date.now() / 1000, verb, by: "explorer", outcome: "waiting", detail: "", why }]);
      }
    } catch (error) {
      put(out, `${verb} could not be asked: ${error.message}. ${error.advice ?? ""}`);
    } finally {
      byId("actions").querySelectorAll("button").forEach((button) => { button.disabled = false; });
    }
  }

  tell(verb, outcome, step, detail) {
    const at = outcome === "applied" ? ` at step ${whole(step)}` : "";
    put(byId("outcome"), `${verb}: ${outcome}${at}${detail ? `; ${detail}` : ""}`);
  }

  /** Outcomes as they were recorded; one that the page waits for is told. */
  outcomes(rows) {
    for (const row of rows) {
      if (!this.followed.delete(row.request)) continue;
      this.tell(row.verb, row.outcome, row.step, row.detail);
    }
    this.table.add(rows);
  }

  waiting(rows) {
    this.table.add(rows.map((row) => ({ request: row.id, requested: row.time, verb: row.verb, by: row.by, outcome: "waiting", detail: "", why: row.why })));
  }
}
