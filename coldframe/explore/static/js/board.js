// The charts of a run: which there are, one x axis and one zoom for all of them, redrawn no more often than needed.

import { Chart, colour, faint, key } from "./charts.js";
import { AXES, Curves, smooth } from "./curves.js";
import { byId, el, put, say } from "./dom.js";
import { fixed, short, whole } from "./format.js";
import { explain } from "./tips.js";

const SMOOTHED_PART = 0.01; // of the points in view, on either side
const RESTING_MS = 5000, AWAKE_MS = 10000; // between two drawings while nobody acts; how long an act counts
const DASHES = [undefined, [7, 4], [2, 3], [10, 3, 2, 3], [4, 2], [1, 4]];

export class Board {
  constructor(uPlot, page, path) {
    this.page = page;
    this.axis = "step";
    this.painted = this.touched = 0;
    this.timer = null;
    for (const act of ["pointermove", "keydown", "wheel"]) addEventListener(act, () => { this.touched = performance.now(); }, { passive: true });
    this.scores = new Map(); // source -> rows of bits per byte
    this.curves = new Curves(path, Math.max(600, Math.min(2000, Math.round(innerWidth * 1.2))));
    const shared = { onzoom: (range) => this.zoom(range), onreset: () => this.zoom(null), onread: say };
    this.charts = {
      train_loss: new Chart(uPlot, { ...shared, ...this.banded("train_loss", "chart-loss", (value) => fixed(value, 3)), wide: true, log: "offer" }),
      val_bpb: new Chart(uPlot, { ...shared, id: "chart-bpb", many: true, title: "Bits per byte", unit: "held-out text, by source", empty: "Not measured yet: the first evaluation brings it.", series: () => this.sourceSeries(), readout: (data, at) => this.sourceReadout(data, at) }),
      grad_norm: new Chart(uPlot, { ...shared, ...this.banded("grad_norm", "chart-grad-norm", short), log: true, draw: (chart) => this.drawClip(chart) }),
      learning_rate: new Chart(uPlot, { ...shared, ...this.banded("learning_rate", "chart-learning-rate", short, 0) }),
      tokens_per_second: new Chart(uPlot, { ...shared, ...this.banded("tokens_per_second", "chart-speed", whole) }),
    };
    for (const [name, chart] of Object.entries(this.charts)) {
      explain(chart.title, () => this.about(name));
      chart.title.classList.add("figure");
      byId("plots").append(chart.node);
    }
    this.buttons = AXES.map((axis) => el("button", { type: "button", className: "plain", "aria-pressed": String(axis === this.axis), onclick: () => this.turn(axis) }, axis === "step" ? "steps" : axis));
    this.reset = el("button", { type: "button", id: "zoom-reset", hidden: true, onclick: () => this.zoom(null) }, "show everything");
    byId("axes").append(this.reset, ...this.buttons);
    document.addEventListener("themechange", () => Object.values(this.charts).forEach((chart) => chart.rebuild()));
    document.addEventListener("visibilitychange", () => { if (!document.hidden && this.late) this.draw(); });
  }

  about(name) {
    const known = this.page.quantities[name];
    return { title: known.title, measured: known.measured, time: this.page.summary.last_seen, command: known.command.replaceAll("RUN", this.page.summary.name), extra: [["rows", `${this.curves.path}/${name === "val_bpb" ? "evals" : "metrics"}.json`]] };
  }

  /** Options of a chart of one column: its extremes as a band, its mean thin, and smoothed. */
  banded(name, id, write, part = SMOOTHED_PART) {
    const known = this.page.quantities[name];
    return {
      id, title: known.title, unit: known.unit, empty: "No steps yet: the curve begins with the first one.", part,
      series: () => {
        const accent = colour("accent"), band = faint(accent, 0.16);
        return { series: [{ stroke: "transparent", width: 0, points: { show: false } }, { stroke: "transparent", width: 0, points: { show: false } }, { stroke: faint(accent, part ? 0.45 : 1), width: part ? 1 : 1.8, points: { show: false } }, { stroke: accent, width: part ? 2 : 0, points: { show: false } }], bands: [{ series: [2, 1], fill: band }] };
      },
      readout: (data, at) => {
        const nodes = [el("b", {}, write(data[3][at]))];
        if (part && data[4][at] !== null) nodes.push(el("span", {}, `median ${write(data[4][at])}`));
        if (data[1][at] !== data[2][at]) nodes.push(el("span", {}, `${write(data[1][at])} to ${write(data[2][at])}`));
        return nodes;
      },
    };
  }

  async load() {
    if (await this.curves.load()) this.draw();
  }

  async refresh() {
    const zoomed = this.curves.range;
    if (zoomed) this.curves.whole = await this.curves.fetch(null);
    await this.load();
  }

  addScores(rows) {
    for (const row of rows) {
      if (row.metric !== "bits_per_byte") continue;
      if (!this.scores.has(row.source)) this.scores.set(row.source, new Map());
      this.scores.get(row.source).set(row.step, row);
    }
  }

  /** Rows from the stream; those that trained a step anew make the curves be read again. */
  async append(rows) {
    if (this.curves.append(rows) === "reload") await this.refresh();
    else this.drawInTime();
  }

  /** Zoom to a range of the axis in use, or show everything. What arrives later does not move it. */
  async zoom(range) {
    const whole = this.curves.whole;
    if (!whole?.axes.step.length) return;
    const first = whole.axes.step[0], last = whole.axes.step.at(-1);
    const steps = range?.map((place) => this.curves.stepAt(this.axis, place));
    const limited = steps && [Math.max(first, steps[0]), Math.min(last, steps[1])];
    const everything = !limited || (limited[0] <= first && limited[1] >= last);
    if (!everything && limited[1] - limited[0] < 2) return;
    this.curves.range = everything ? null : limited;
    this.reset.hidden = everything;
    if (everything) [this.curves.shown, this.curves.drawn] = [whole, null];
    this.draw();
    await this.load();
    say(everything ? "all steps" : `steps ${Math.round(limited[0])} to ${Math.round(limited[1])}`);
  }

  turn(axis) {
    this.axis = axis;
    this.buttons.forEach((button, at) => button.setAttribute("aria-pressed", String(AXES[at] === axis)));
    this.draw();
  }

  /** Draw new steps: at once for somebody who is at work on the page, else every few seconds, as training pays for it. */
  drawInTime() {
    const now = performance.now(), rest = now - this.touched < AWAKE_MS ? 0 : Math.max(0, RESTING_MS - (now - this.painted));
    this.timer ??= setTimeout(() => { this.timer = null; this.draw(); }, rest);
  }

  /** Draw at the next frame; a hidden page waits until somebody looks. */
  draw() {
    this.late = true;
    if (document.hidden || this.waits) return;
    this.waits = true;
    requestAnimationFrame(() => { this.waits = this.late = false; this.painted = performance.now(); this.paint(); });
  }

  paint() {
    const { shown, range, whole: all } = this.curves;
    if (!shown) return;
    const xs = shown.axes[this.axis];
    const limits = range ? range.map((step) => this.curves.place(this.axis, step)) : null;
    for (const [name, chart] of Object.entries(this.charts)) {
      if (name === "val_bpb") continue;
      const [mean, low, high] = ["mean", "min", "max"].map((kind) => shown.columns[`${name}.${kind}`]);
      const clean = chart.log ? (values) => values.map((value) => (value > 0 ? value : null)) : (values) => values;
      const part = chart.options.part;
      chart.show([xs, clean(low), clean(high), clean(mean), part ? smooth(clean(mean), Math.round(part * mean.length)) : mean.map(() => null)], this.axis, limits);
    }
    const ends = all?.axes[this.axis];
    this.charts.val_bpb.show(this.sourceData(), this.axis, limits ?? (ends?.length ? [ends[0], ends.at(-1)] : null));
    if (this.curves.drawn !== range) return; // the zoom's own buckets are on their way; what stands here is still the old
    const each = Math.max(1, Math.round(shown.num_steps / Math.max(1, xs.length)));
    const smoothed = 1 + 2 * Math.round(SMOOTHED_PART * shown.num_steps);
    put(byId("resolution"), xs.length ? `${whole(shown.num_steps)} steps${range ? " in view" : ""}; ${each > 1 ? `a point is ${whole(each)} steps, the band their extremes` : "every step is a point"}; strong line: running median over ${whole(smoothed)} steps` : "");
  }

  sources() {
    const names = [...this.scores.keys()].sort();
    return names.includes("all") ? ["all", ...names.filter((name) => name !== "all")] : names;
  }

  /** uPlot's columns: x, then for each source low, high and value. */
  sourceData() {
    const sources = this.sources();
    const steps = [...new Set(sources.flatMap((name) => [...this.scores.get(name).keys()]))].sort((a, b) => a - b);
    if (!steps.length) return null;
    const columns = sources.flatMap((name) => ["low", "high", "value"].map((kind) => steps.map((step) => this.scores.get(name).get(step)?.[kind] ?? null)));
    return [steps.map((step) => this.curves.place(this.axis, step)), ...columns];
  }

  sourceSeries() {
    const series = [], bands = [];
    this.sources().forEach((name, at) => {
      const stroke = colour(`series-${at % 6 + 1}`), edge = { stroke: "transparent", width: 0, points: { show: false }, spanGaps: true };
      series.push(edge, edge, { label: name, stroke, width: name === "all" ? 2.4 : 1.6, dash: DASHES[at % 6], spanGaps: true, points: { show: true, size: 4, stroke, fill: stroke, width: 0 } });
      bands.push({ series: [3 * at + 2, 3 * at + 1], fill: faint(stroke, 0.1) });
    });
    return { series, bands };
  }

  sourceReadout(data, at) {
    return this.sources().map((name, index) => {
      const node = key(`${name} `, colour(`series-${index % 6 + 1}`), DASHES[index % 6]);
      node.append(el("b", {}, fixed(data[3 * index + 3]?.[at], 3)));
      return node;
    });
  }

  drawClip(chart) {
    const limit = this.page.clip_norm;
    if (!limit || limit < chart.scales.y.min || limit > chart.scales.y.max) return;
    const { ctx, bbox } = chart, y = Math.round(chart.valToPos(limit, "y", true));
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = colour("watch");
    ctx.setLineDash([6, 4]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.textAlign = "right";
    ctx.textBaseline = "bottom";
    ctx.fillText(`clipped above ${short(limit)}`, bbox.left + bbox.width - 4, y - 3);
    ctx.restore();
  }
}
