// What the operations page draws with: elements, numbers in words, and three small charts in SVG.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
export const OUTCOMES = ["succeeded", "failed", "cancelled"];
const CHART = { height: 180, left: 46, right: 8, top: 10, bottom: 24 };

const whole = new Intl.NumberFormat("en");
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const exact = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

/** Make an element: attributes by name, texts and elements as children; text is never read as markup. */
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export const td = (content, attributes = {}) => el("td", attributes, content);

export const badge = (text) => el("span", { class: "badge bg-orange-lt ops-badge" }, text);

/** Put new nodes in place of the old, and the focus back to where it was. */
export function replace(host, nodes) {
  const key = host.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  host.replaceChildren(...nodes);
  if (key) [...host.querySelectorAll("[data-key]")].find((each) => each.dataset.key === key)?.focus();
}

function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export const count = (number) => whole.format(number);

export const minute = (moment) => clock.format(new Date(moment));

export const moment = (text) => exact.format(new Date(text));

/** Say how long: 8 ms, 1.4 s, 3 min, 2 h, 5 d. */
export function span(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 100) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`;
}

/** Draw the minutes as stacked bars, as wide as their host; `tell` hears what the pointer is over. */
export function drawMinutes(host, minutes, tell) {
  const width = Math.max(host.clientWidth, 280);
  const { height, left, right, top, bottom } = CHART;
  const most = nice(Math.max(...minutes.map((each) => OUTCOMES.reduce((sum, name) => sum + each[name], 0))));
  const y = (value) => height - bottom - (value / most) * (height - bottom - top);
  const step = (width - left - right) / minutes.length;
  const lines = [0, most / 2, most].filter(Number.isInteger).map((value) => grid(value, y(value), width));
  const bars = minutes.map((each, place) => bar(each, left + place * step, step, y, tell));
  const ticks = minutes.map((each, place) => tick(each, left + (place + 0.5) * step, width));
  const picture = svg("svg", { width, height, role: "img", "aria-label": described(minutes) }, ...lines, ...bars);
  picture.append(...ticks.filter(Boolean));
  host.replaceChildren(picture);
}

function grid(value, y, width) {
  const { left, right } = CHART;
  return svg("g", {},
    svg("line", { class: "ops-grid", x1: left, x2: width - right, y1: y, y2: y }),
    svg("text", { class: "ops-axis", x: left - 8, y: y + 4, "text-anchor": "end" }, count(value)));
}

function bar(each, x, step, y, tell) {
  const group = svg("g", { class: "ops-minute" });
  let below = 0;
  for (const name of OUTCOMES) {
    if (!each[name]) continue;
    const [from, to] = [y(below), y(below + each[name])];
    const [tall, wide] = [Math.max(from - to, 1.5), step * 0.76];
    group.append(svg("rect", { class: `ops-${name}`, x: x + step * 0.12, y: from - tall, width: wide, height: tall }));
    below += each[name];
  }
  const said = `${minute(each.at)}: ${OUTCOMES.map((name) => `${count(each[name])} ${name}`).join(", ")}`;
  const { height, top, bottom } = CHART;
  group.append(svg("rect", { class: "ops-over", x, y: top, width: step, height: height - bottom - top }));
  group.addEventListener("pointerenter", () => tell(said));
  group.addEventListener("pointerleave", () => tell(""));
  return group;
}

function tick(each, x, width) {
  const every = width < 500 ? 20 : 10;
  if (new Date(each.at).getMinutes() % every) return null;
  return svg("text", { class: "ops-axis", x, y: CHART.height - 6, "text-anchor": "middle" }, minute(each.at));
}

function described(minutes) {
  const sums = OUTCOMES.map((name) => `${count(total(minutes, name))} ${name}`);
  return `Tasks that ended in the last hour: ${sums.join(", ")}. The table below has each minute.`;
}

export const total = (minutes, name) => minutes.reduce((sum, each) => sum + each[name], 0);

function nice(most) {
  if (most < 4) return 4;
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10].map((each) => each * power).find((each) => each >= most);
}

/** Draw a line through values, oldest first: how something went since the page was opened. */
export function sparkline(values) {
  const [width, height] = [120, 28];
  const most = Math.max(...values, 1);
  const step = width / Math.max(values.length - 1, 1);
  const y = (value) => height - 2 - (value / most) * (height - 4);
  const line = values.map((value, place) => `${(place * step).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
  const frame = { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" };
  return svg("svg", { class: "ops-spark", ...frame },
    svg("polygon", { points: `0,${height} ${line} ${width},${height}` }),
    svg("polyline", { points: line }));
}

/** Draw lengths side by side, against the longest there is; the table's other cells say the numbers. */
export function lengths(parts, most) {
  const width = 120;
  let x = 0;
  const drawn = parts.map(([name, value]) => {
    const wide = most ? Math.max((value / most) * width, value ? 2 : 0) : 0;
    x += wide;
    return svg("rect", { class: `ops-${name}`, x: x - wide, y: 2, width: wide, height: 8 });
  });
  return svg("svg", { class: "ops-length", viewBox: `0 0 ${width} 12`, "aria-hidden": "true" }, ...drawn);
}
