// The steps' curves in memory: thinned buckets from the server, and behind them the rows that came since.

export const AXES = ["step", "tokens", "hours"];
export const COLUMNS = ["train_loss", "learning_rate", "grad_norm", "clip_scale", "tokens_per_second"];

export class Curves {
  /** `path` is the run's; `points` how many buckets to ask for. */
  constructor(path, points) {
    this.path = path;
    this.points = points;
    this.range = null; // [first step, last step] when zoomed in, null when everything is shown
    this.segment = 0;
    this.whole = null; // everything, thinned: what positions on the axes are looked up in
    this.shown = null; // what is drawn
    this.drawn = null; // the range that it was asked for
    this.asked = 0;
    this.fetching = new Set(); // for each answer on its way, the rows that came meanwhile: it may not have them
  }

  /** Read the curves of the range in view. Gives false when a later call overtook this one. */
  async load() {
    const turn = ++this.asked, range = this.range;
    const found = await this.fetch(range);
    if (turn !== this.asked) return false;
    [this.shown, this.drawn] = [found, range];
    if (!range) this.whole = found;
    return true;
  }

  async fetch(range) {
    const limits = range ? `&from=${Math.floor(range[0])}&to=${Math.ceil(range[1])}` : "";
    const late = [];
    this.fetching.add(late);
    try {
      const answer = await fetch(`${this.path}/metrics.bin?columns=${COLUMNS.join(",")}&points=${this.points}${limits}`);
      if (!answer.ok) throw new Error((await answer.json()).error?.message ?? `the explorer answered ${answer.status}`);
      const found = decode(await answer.arrayBuffer());
      for (const rows of late) this.add(found, rows, range?.[1]);
      return found;
    } finally {
      this.fetching.delete(late);
    }
  }

  /** Take rows that were just written. Gives "reload" when they cannot simply be added behind the others. */
  append(rows) {
    for (const late of this.fetching) late.push(rows);
    if (!this.whole) return this.fetching.size ? "added" : "reload";
    const last = this.whole.end;
    const newest = Math.max(...rows.segment);
    if (newest > this.segment && this.segment > 0 && Math.min(...rows.step) <= last) { this.segment = newest; return "reload"; }
    this.segment = Math.max(this.segment, newest);
    this.add(this.whole, rows);
    if (this.shown !== this.whole && this.range && last <= this.range[1]) this.add(this.shown, rows, this.range[1]);
    return this.whole.axes.step.length > 2 * this.points && !this.fetching.size ? "reload" : "added";
  }

  add(into, rows, limit = Infinity) {
    const from = into.end;
    for (let at = 0; at < rows.step.length; at++) {
      if (rows.step[at] <= from || rows.step[at] > limit) continue; // had with the buckets, or beyond the zoom
      into.end = rows.step[at];
      into.axes.step.push(rows.step[at]);
      into.axes.tokens.push(rows.num_tokens[at]);
      into.axes.hours.push((into.axes.hours.at(-1) ?? 0) + (rows.seconds[at] ?? 0) / 3600);
      for (const name of COLUMNS) for (const kind of ["mean", "min", "max"]) into.columns[`${name}.${kind}`].push(rows[name][at]);
      into.num_steps += 1;
    }
  }

  /** The newest value of a column that was measured. */
  newest(name) {
    return this.whole?.columns[`${name}.mean`].findLast((value) => value !== null) ?? null;
  }

  /** Where a step lies on an axis, between its neighbours; beyond the last step the last pace goes on. */
  place(axis, step) {
    if (axis === "step" || !this.whole?.axes.step.length) return step;
    return between(this.whole.axes.step, this.whole.axes[axis], step);
  }

  /** Which step lies at a place of an axis. */
  stepAt(axis, place) {
    if (axis === "step" || !this.whole?.axes.step.length) return place;
    return between(this.whole.axes[axis], this.whole.axes.step, place);
  }
}

function decode(buffer) {
  const size = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, size)));
  let at = 4 + size;
  const take = (type) => {
    const array = Array.from(new type(buffer, at, head.num_points), (value) => (Number.isNaN(value) ? null : value));
    at += head.num_points * type.BYTES_PER_ELEMENT;
    return array;
  };
  const axes = Object.fromEntries(head.axes.map((name) => [name, take(Float64Array)]));
  const columns = Object.fromEntries(head.columns.map((name) => [name, take(Float32Array)]));
  return { num_steps: head.num_steps, end: head.last_step ?? 0, axes, columns };
}

function between(xs, ys, x) {
  let low = 0, high = xs.length - 1;
  if (high < 1) return ys[0];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (xs[middle] <= x) low = middle; else high = middle;
  }
  const run = xs[high] - xs[low];
  return run > 0 ? ys[low] + (ys[high] - ys[low]) * (x - xs[low]) / run : ys[low];
}

/** A running median over `reach` points on both sides, then a short mean: follows edges, ignores spikes, is not delayed. */
export function smooth(values, reach) {
  const medians = values.map((value, at) => {
    if (value === null) return null;
    const side = Math.min(reach, at); // no wider than what lies before, so that a steep beginning is kept
    const near = values.slice(at - side, at + side + 1).filter((other) => other !== null).sort((a, b) => a - b);
    return near.length % 2 ? near[near.length >> 1] : (near[near.length / 2 - 1] + near[near.length / 2]) / 2;
  });
  return medians.map((value, at) => {
    if (value === null) return null;
    const side = Math.min(reach >> 1, at, medians.length - 1 - at);
    let sum = 0, count = 0;
    for (let other = at - side; other <= at + side; other++) if (medians[other] !== null) { sum += medians[other]; count += 1; }
    return sum / count;
  });
}
