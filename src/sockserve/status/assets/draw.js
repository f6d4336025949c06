// Elements, and two kinds of charts. Everything that comes from elsewhere goes in as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

export function h(name, attributes = {}, ...children) {
  return build(document.createElement(name), attributes, children);
}

function s(name, attributes = {}, ...children) {
  return build(document.createElementNS(SVG, name), attributes, children);
}

function build(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// Writes only what has changed: a selection stays, and the browser has less to do.
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function dress(element, classes) {
  if (element.className !== classes) element.className = classes;
}

// Makes the children of a list as many as there are items, and shows each in its own.
export function each(list, items, make, show) {
  while (list.children.length > items.length) list.lastElementChild.remove();
  while (list.children.length < items.length) list.append(make());
  items.forEach((item, index) => show(list.children[index], item));
}

// A round number that is not below the value.
function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((step) => step >= value * 0.999);
}

function labels(texts) {
  return h("ol", { "aria-hidden": "true" }, ...texts.map((text) => h("li", {}, text)));
}

// Points are [seconds ago, value], the oldest first.
export function line(chart, points, span, format, what) {
  const known = points.filter(([, value]) => value !== null);
  const most = ceiling(Math.max(1, ...known.map(([, value]) => value)));
  const place = ([ago, value]) => `${(300 * (1 - ago / span)).toFixed(2)},${(96 - (92 * value) / most).toFixed(2)}`;
  const drawing = s("svg", { viewBox: "0 0 300 96", preserveAspectRatio: "none", role: "img" });
  const now = known.length ? format(known.at(-1)[1]) : "nothing yet";
  drawing.append(s("title", {}, `${what}: ${now}; the scale ends at ${format(most)}`));
  for (const y of [4, 50, 96]) drawing.append(s("line", { class: "grid", x1: 0, x2: 300, y1: y, y2: y }));
  if (known.length > 1) {
    const path = known.map(place).join(" L");
    const from = (300 * (1 - known[0][0] / span)).toFixed(2);
    const to = (300 * (1 - known.at(-1)[0] / span)).toFixed(2);
    drawing.append(s("path", { class: "area", d: `M${from},96 L${path} L${to},96 Z` }));
    drawing.append(s("path", { class: "line", d: `M${path}` }));
  }
  chart.replaceChildren(drawing, h("span", { class: "most", "aria-hidden": "true" }, format(most)));
  chart.append(labels([`${Math.round(span / 60)} min ago`, "now"]));
}

// One bar for each class of durations, from the first to the last that has any.
export function bars(chart, found, format, what) {
  const all = found.counts.reduce((sum, each) => sum + each, 0);
  if (!all) {
    const base = s("line", { class: "grid", x1: 0, x2: 300, y1: 96, y2: 96 });
    const nothing = s("svg", { viewBox: "0 0 300 96", preserveAspectRatio: "none", "aria-hidden": "true" }, base);
    chart.replaceChildren(nothing, h("div", { class: "empty" }, `no ${what} yet`));
    return;
  }
  const some = found.counts.map((value, index) => (value ? index : -1)).filter((index) => index >= 0);
  const [first, last] = widened(some[0], some.at(-1), found.counts.length);
  const most = Math.max(...found.counts);
  const width = 300 / (last - first + 1);
  const drawing = s("svg", { viewBox: "0 0 300 96", preserveAspectRatio: "none", role: "img" });
  drawing.append(s("title", {}, `${what} by duration`));
  drawing.append(s("line", { class: "grid", x1: 0, x2: 300, y1: 96, y2: 96 }));
  for (let index = first; index <= last; index += 1) {
    const value = found.counts[index];
    const x = (index - first) * width;
    const height = value ? Math.max(1.5, (92 * value) / most) : 0;
    drawing.append(
      s("rect", { class: "bar", x: x + width * 0.08, width: width * 0.84, y: 96 - height, height }),
      s("rect", { class: "hit", x, width, y: 0, height: 96 }, s("title", {}, describe(found, index, all, format))),
    );
  }
  const ends = [first ? format(found.bounds[first - 1]) : "0", end(found, last, format)];
  const middle = Math.floor((first + last) / 2);
  chart.replaceChildren(drawing, labels([ends[0], end(found, middle, format), ends[1]]));
}

// At least seven classes, so that few of them do not look like a wall.
function widened(first, last, length) {
  while (last - first < 6) {
    if (first > 0) first -= 1;
    if (last < length - 1 && last - first < 6) last += 1;
  }
  return [first, last];
}

function end(found, index, format) {
  return index < found.bounds.length ? format(found.bounds[index]) : `over ${format(found.bounds.at(-1))}`;
}

function describe(found, index, all, format) {
  const value = found.counts[index];
  const upper = index < found.bounds.length ? `at most ${format(found.bounds[index])}` : end(found, index, format);
  return `${upper}: ${value.toLocaleString("en")} (${((100 * value) / all).toFixed(1)} %)`;
}

// The end of the class in which this part of all has been reached, as Distribution.quantile has it.
export function quantile(found, part) {
  const wanted = part * found.counts.reduce((sum, each) => sum + each, 0);
  let reached = 0;
  for (const [index, value] of found.counts.entries()) {
    reached += value;
    if (reached && reached >= wanted) return index < found.bounds.length ? found.bounds[index] : Infinity;
  }
  return null;
}
