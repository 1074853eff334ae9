// Numbers as a person reads them; null and NaN are "not measured", which is an ordinary answer.

export const DASH = "–";
const missing = (value) => value === null || value === undefined || Number.isNaN(value);
const grouped = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

export const whole = (value) => (missing(value) ? DASH : grouped.format(value));
export const fixed = (value, digits = 3) => (missing(value) ? DASH : value.toFixed(digits));

/** Four significant figures, as a power of ten where that is shorter. */
export function short(value) {
  if (missing(value)) return DASH;
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return value.toExponential(2);
  return size >= 1000 ? grouped.format(value) : String(Number(value.toPrecision(4)));
}

/** Large counts with their unit letter: 12.3k, 4.56M, 7.89B. */
export function large(value) {
  if (missing(value)) return DASH;
  for (const [unit, letter] of [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "k"]]) {
    if (Math.abs(value) >= unit) return `${Number((value / unit).toPrecision(3))}${letter}`;
  }
  return String(Number(value.toPrecision(3)));
}

export function bytes(value) {
  if (missing(value)) return DASH;
  for (const [unit, name] of [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]]) {
    if (value >= unit) return `${Number((value / unit).toPrecision(3))} ${name}`;
  }
  return `${value} B`;
}

export function duration(seconds) {
  if (missing(seconds)) return DASH;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Number((seconds / 3600).toFixed(1))} h`;
  return `${Math.round(seconds / 86400)} days`;
}

export const ago = (time) => (missing(time) ? "never" : `${duration(Math.max(1, Date.now() / 1000 - time))} ago`);

/** The time of day, with the date when it is not today. */
export function clock(time) {
  if (missing(time)) return DASH;
  const when = new Date(time * 1000);
  const hours = when.toLocaleTimeString("en-GB");
  return when.toDateString() === new Date().toDateString() ? hours : `${when.toISOString().slice(0, 10)} ${hours}`;
}
