// One chart: a uPlot with a head that reads out what lies under the cursor, worked by mouse, touch and keys alike.

import { el, svg } from "./dom.js";
import { large, short, whole } from "./format.js";

const GROUP = "run"; // charts with the same key share their cursor
const AXIS_WORDS = { step: "step", tokens: "tokens", hours: "hours of training" };

/** A colour variable as the canvas needs it. */
export function colour(name) {
  const probe = document.body.appendChild(el("i"));
  probe.style.color = `var(--${name})`;
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

export const faint = (rgb, part) => rgb.replace(/rgba?\(([^)]+)\)/, (_, inside) => `rgba(${inside.split(/[, ]+/).slice(0, 3).join(", ")}, ${part})`);

/** A short line as the legend shows it, dashed like the curve. */
export function key(name, rgb, dash) {
  return el("span", { className: "key" }, svg("svg", { viewBox: "0 0 22 8", "aria-hidden": "true" },
    svg("line", { x1: 0, x2: 22, y1: 4, y2: 4, stroke: rgb, "stroke-width": 2.2, "stroke-dasharray": dash?.join(" ") })), name);
}

export class Chart {
  /** `options`: id, title, unit, wide, many (the readout may wrap), log (true: begin so; "offer": only offer it), empty (words), series(), draw(chart), readout(data, index) -> nodes, onzoom(range in x), onreset(), onread(text). */
  constructor(uPlot, options) {
    this.uPlot = uPlot;
    this.options = options;
    this.log = options.log === true;
    this.axis = "step";
    this.data = null;
    this.range = null;
    this.readout = el("p", { className: `readout ${options.many ? "many" : ""}` });
    this.plot = el("div", { className: "plot", id: options.id, tabindex: 0, role: "group", "aria-roledescription": "chart", "aria-label": `${options.title}. Arrows move the cursor, plus and minus zoom, 0 shows everything.`, onkeydown: (event) => this.press(event) });
    this.empty = el("p", { className: "empty" }, options.empty ?? "");
    const toggle = el("button", { type: "button", "aria-pressed": String(this.log), title: "logarithmic height", onclick: () => {
      this.log = !this.log;
      toggle.setAttribute("aria-pressed", String(this.log));
      this.rebuild();
    } }, "log");
    this.title = el("h3", {}, options.title, options.unit ? el("span", { className: "quiet" }, ` ${options.unit}`) : null);
    this.node = el("figure", { className: `chart ${options.wide ? "wide" : ""}` },
      el("div", { className: "head" }, this.title, options.log ? toggle : null, this.readout), this.plot);
    this.plot.append(this.empty);
    new ResizeObserver(() => this.fit()).observe(this.plot);
  }

  /** Show data (uPlot's columns) over an x range; null data shows why there is none. */
  show(data, axis, range) {
    const anew = !this.chart || axis !== this.axis || (this.data && data && data.length !== this.data.length);
    [this.data, this.axis, this.range] = [data, axis, range];
    this.empty.hidden = Boolean(data && data[0].length);
    if (!data || !data[0].length) return;
    if (anew) this.rebuild();
    else {
      this.chart.batch(() => {
        this.chart.setData(data, false);
        this.chart.setScale("x", this.limits());
      });
    }
    this.plot.dataset.points = data[0].length;
    this.read();
  }

  limits() {
    const xs = this.data[0];
    const [low, high] = this.range ?? [xs[0], xs.at(-1)];
    return { min: low, max: high > low ? high : low + 1 };
  }

  /** Make the drawing anew: other colours, other axis, other height. */
  rebuild() {
    if (!this.data || !this.data[0].length) return;
    this.chart?.destroy();
    const { series, bands } = this.options.series();
    const box = this.plot.getBoundingClientRect();
    const ink = colour("soft"), rule = colour("rule");
    const font = "12px " + getComputedStyle(document.body).fontFamily;
    const quiet = { stroke: ink, font, grid: { stroke: rule, width: 1 }, ticks: { show: false } };
    this.chart = new this.uPlot({
      width: Math.max(80, Math.floor(box.width)), height: Math.max(80, Math.floor(box.height)), legend: { show: false },
      cursor: { sync: { key: GROUP, scales: ["x", null] }, drag: { x: true, y: false, setScale: false }, points: { size: 6 }, focus: { prox: 24 } },
      scales: { x: { time: false, range: () => { const { min, max } = this.limits(); return [min, max]; } }, y: { distr: this.log ? 3 : 1, range: this.log ? undefined : (_, low, high) => spread(low, high) } },
      axes: [
        { ...quiet, size: 26, gap: 4, space: 70, values: (_, ticks) => ticks.map(this.axis === "step" ? whole : large), label: this.options.wide ? AXIS_WORDS[this.axis] : undefined, labelSize: 18, labelFont: font, labelGap: 0 },
        { ...quiet, size: 54, space: 34, grid: { ...quiet.grid, filter: (chart, ticks) => (this.log ? decades(chart, ticks) : ticks) }, values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : short(tick))) },
      ],
      series: [{}, ...series], bands,
      hooks: {
        setCursor: [() => this.read()],
        setSelect: [(chart) => this.selected(chart)],
        draw: this.options.draw ? [(chart) => this.options.draw(chart)] : [],
      },
    }, this.data, this.plot);
    this.chart.over.addEventListener("dblclick", () => this.options.onreset());
    this.chart.setScale("x", this.limits());
    this.read();
  }

  fit() {
    const box = this.plot.getBoundingClientRect();
    if (this.chart && box.width > 0 && Math.abs(box.width - this.chart.width) >= 1) this.chart.setSize({ width: Math.floor(box.width), height: Math.floor(box.height) });
  }

  selected(chart) {
    const { left, width } = chart.select;
    if (width < 6) return;
    const range = [chart.posToVal(left, "x"), chart.posToVal(left + width, "x")];
    chart.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    this.options.onzoom(range);
  }

  /** What the head says: the point under the cursor, or the newest. */
  read() {
    if (!this.data?.[0].length) return;
    const under = this.chart?.cursor.idx ?? null;
    const at = under ?? this.data[0].length - 1;
    const place = this.axis === "step" ? `at ${under === null ? "step " : ""}${whole(this.data[0][at])}` : `at ${large(this.data[0][at])} ${this.axis}`;
    const nodes = this.options.readout(this.data, at);
    nodes.splice(this.options.many ? nodes.length : 1, 0, el("span", {}, place));
    this.readout.replaceChildren(...nodes);
  }

  press(event) {
    if (!this.chart || event.ctrlKey || event.metaKey || event.altKey) return;
    const last = this.data[0].length - 1, at = this.chart.cursor.idx ?? last, jump = event.shiftKey ? 10 : 1;
    const moves = { ArrowLeft: at - jump, ArrowRight: at + jump, Home: 0, End: last };
    if (event.key in moves) this.point(Math.max(0, Math.min(last, moves[event.key])));
    else if (event.key === "+" || event.key === "=" || event.key === "-") this.zoom(event.key === "-" ? 2 : 0.5, this.data[0][at]);
    else if (event.key === "0") this.options.onreset();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  point(at) {
    const left = this.chart.valToPos(this.data[0][at], "x");
    this.chart.setCursor({ left: Math.max(0, left), top: this.chart.bbox.height / devicePixelRatio / 2 });
    this.options.onread?.(this.readout.textContent);
  }

  zoom(factor, around) {
    const { min, max } = this.limits();
    const part = (around - min) / (max - min), width = (max - min) * factor;
    this.options.onzoom([around - part * width, around + (1 - part) * width]);
  }
}

function spread(low, high) {
  if (low === null) return [0, 1];
  const room = (high - low || Math.abs(high) || 1) * 0.06;
  return [low >= 0 && low - room < 0 ? 0 : low - room, high + room];
}

/** On a logarithmic height: lines at 1, 2 and 5 where little is in view, else at powers of ten. */
function decades(chart, ticks) {
  const wide = chart.scales.y.max / chart.scales.y.min > 30;
  return ticks.map((tick) => ((wide ? /^1e/ : /^[125]e/).test(tick.toExponential(0)) ? tick : null));
}
