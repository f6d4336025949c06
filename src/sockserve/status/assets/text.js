// Numbers and durations as people read them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

export function count(value) {
  return value < 100000 ? whole.format(value) : compact.format(value);
}

export function exact(value) {
  return whole.format(value);
}

export function rate(value) {
  if (value === null) return "–";
  return value < 10 ? short.format(Math.round(value * 10) / 10) : count(value);
}

export function percent(part) {
  return part === null ? "–" : `${whole.format(100 * part)} %`;
}

export function bytes(value) {
  if (value === null) return "–";
  const megabytes = value / 2 ** 20;
  return megabytes < 1024 ? `${short.format(megabytes)} MiB` : `${short.format(megabytes / 1024)} GiB`;
}

// A time that something takes: 48 µs, 1.2 ms, 3.4 s.
export function took(seconds) {
  if (seconds < 0.001) return `${short.format(seconds * 1e6)} µs`;
  if (seconds < 1) return `${short.format(seconds * 1e3)} ms`;
  return since(seconds);
}

// A time that passes: 0.4 s, 12 s, 3 min 20 s, 5 h 12 min, 3 d 4 h.
export function since(seconds) {
  if (seconds < 0.05) return "< 0.1 s";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const all = Math.floor(seconds);
  if (all < 60) return `${all} s`;
  if (all < 3600) return `${Math.floor(all / 60)} min ${all % 60} s`;
  if (all < 86400) return `${Math.floor(all / 3600)} h ${Math.floor((all % 3600) / 60)} min`;
  return `${whole.format(Math.floor(all / 86400))} d ${Math.floor((all % 86400) / 3600)} h`;
}
