// Samples through time: one step's texts at a time, with a slider over the steps; newer ones wait until they are asked for.

import { byId, el, put } from "./dom.js";
import { clock, fixed, whole } from "./format.js";
import { figure } from "./tips.js";

export class Samples {
  constructor(page, every) {
    this.page = page;
    this.every = every;
    this.steps = new Map(); // step -> rows
    this.at = null; // the step in view
    this.slider = byId("sample-slider");
    this.slider.addEventListener("input", () => this.show(this.order()[Number(this.slider.value)]));
    byId("sample-earlier").addEventListener("click", () => this.go(-1));
    byId("sample-later").addEventListener("click", () => this.go(1));
    byId("sample-newest").addEventListener("click", () => this.show(this.order().at(-1)));
    this.draw();
  }

  order() {
    return [...this.steps.keys()].sort((a, b) => a - b);
  }

  /** Take samples. What is in view stays, unless it was the newest and nobody is reading it. */
  add(rows) {
    const section = byId("samples");
    const following = this.at === null || (this.at === this.order().at(-1) && !section.matches(":hover") && !section.contains(document.activeElement));
    for (const row of rows) {
      const known = this.steps.get(row.step);
      const segment = known ? Math.max(...[...known.values()].map((other) => other.segment)) : -1;
      if (row.segment > segment) this.steps.set(row.step, new Map()); // a step that was trained again
      if (row.segment >= segment) this.steps.get(row.step).set(row.id, row);
    }
    if (following) this.at = this.order().at(-1) ?? null;
    this.draw();
  }

  clear() {
    this.steps.clear();
    this.at = null;
    this.draw();
  }

  go(by) {
    const order = this.order();
    const next = order[Math.max(0, Math.min(order.length - 1, order.indexOf(this.at) + by))];
    if (next !== undefined) this.show(next);
  }

  show(step) {
    this.at = step;
    this.draw();
  }

  draw() {
    const order = this.order();
    byId("samples-step").hidden = !order.length;
    if (!order.length) {
      put(byId("samples-note"), this.every ? `No samples yet: the first are written at step ${whole(this.every)}.` : "No samples yet.");
      byId("sample-list").replaceChildren();
      return;
    }
    const rows = [...this.steps.get(this.at).values()];
    this.slider.max = order.length - 1;
    this.slider.value = order.indexOf(this.at);
    this.slider.setAttribute("aria-valuetext", `step ${whole(this.at)}`);
    byId("sample-newest").hidden = this.at === order.at(-1);
    put(byId("samples-note"), `written at step ${whole(this.at)}, ${clock(rows[0].time)}; ${order.indexOf(this.at) + 1} of ${order.length}`);
    byId("sample-list").replaceChildren(...rows.map((row) => this.item(row)));
  }

  item(row) {
    const about = (title, value) => () => ({ title, value, measured: this.page.quantities.sample.measured, time: row.time, extra: [["drawn with", `temperature ${row.temperature}, seed ${row.seed}, ${row.num_tokens} tokens`]], command: `coldframe chat ${this.page.summary.name} --step ${row.step} --raw --temperature ${row.temperature} --seed ${row.seed} --max-tokens ${row.num_tokens} -p ${JSON.stringify(row.prompt)}` });
    const figures = row.loss === null ? ["not measured"] : [figure(`loss ${fixed(row.loss, 2)}`, about("loss", `${fixed(row.loss, 4)} nats/token`)), ", ", figure(`perplexity ${fixed(row.perplexity, 1)}`, about("perplexity", fixed(row.perplexity, 3)))];
    return el("li", {}, el("p", { className: "voice" }, el("span", { className: "given" }, row.prompt), row.text), el("p", { className: "small quiet" }, figures));
  }
}
