// A chart of lines over the last minutes.

import { h, s, setAttribute, setText } from "./dom.js";
import { LENGTH } from "./series.js";

const HEIGHT = 160;
const MARGIN = { top: 8, right: 4, bottom: 20, left: 60 };
const TICKS = [-15, -10, -5, 0];

/** The least round number that is not below a value: 1, 2 or 5 times a power of ten. */
export function ceiling(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((round) => round >= value * 0.999);
}

/**
 * A chart with a title and `lines`: for each the `name` of the value in a point, a `label`, and how it is drawn (`style`).
 * `format` makes a text of a value. Returns the element, and the function that draws points.
 */
export function chart(title, lines, format) {
  const grid = s("g", { class: "grid" });
  const paths = lines.map((line) => s("path", { class: `line ${line.style}` }));
  const picture = s("svg", { role: "img", height: HEIGHT, width: "100%" }, grid, ...paths);
  const values = lines.map(() => h("strong", {}, format(null)));
  const legend = h("ul", { class: "legend" }, lines.map((line, i) =>
    h("li", {}, h("span", { class: `key ${line.style}`, "aria-hidden": "true" }), `${line.label} `, values[i])));
  const element = h("figure", { class: "chart" }, h("figcaption", {}, h("span", { class: "title" }, title), legend), picture);
  let points = [];
  let width = 0;

  function draw(next = points) {
    points = next;
    const last = points.at(-1);
    lines.forEach((line, i) => setText(values[i], format(last?.[line.name] ?? null)));
    setAttribute(picture, "aria-label", describe(title, lines, points, format));
    if (width <= 0) return;
    const most = Math.max(0, ...points.flatMap((point) => lines.map((line) => point[line.name] ?? 0)));
    const top = ceiling(most);
    const x = (seconds) => MARGIN.left + (1 + seconds / LENGTH) * (width - MARGIN.left - MARGIN.right);
    const y = (value) => HEIGHT - MARGIN.bottom - (value / top) * (HEIGHT - MARGIN.top - MARGIN.bottom);
    grid.replaceChildren(...axes(top, x, y, width, format));
    lines.forEach((line, i) => {
      setAttribute(paths[i], "d", path(points, line.name, (atMs) => x((atMs - last.atMs) / 1000), y));
    });
  }

  new ResizeObserver(([entry]) => {
    width = entry.contentRect.width;
    draw();
  }).observe(picture);
  return { element, draw };
}

/** The line of one value; where there is none, it is interrupted. */
function path(points, name, x, y) {
  let text = "";
  let isDown = false;
  for (const point of points) {
    const value = point[name];
    const hasValue = value !== null && value !== undefined;
    if (hasValue) {
      const at = `${x(point.atMs).toFixed(1)} ${y(value).toFixed(1)}`;
      // A move back to where one is makes a single reading a dot.
      text += isDown ? `L${at}` : `M${at}L${at}`;
    }
    isDown = hasValue;
  }
  return text;
}

function axes(top, x, y, width, format) {
  const levels = [0, top / 2, top].map((value) => [
    s("line", { x1: MARGIN.left, x2: width - MARGIN.right, y1: y(value), y2: y(value) }),
    s("text", { x: MARGIN.left - 8, y: y(value) + 4, "text-anchor": "end" }, format(value)),
  ]);
  const times = TICKS.map((minutes) => s("text", {
    x: x(minutes * 60),
    y: HEIGHT - 4,
    "text-anchor": minutes === 0 ? "end" : minutes === -LENGTH / 60 ? "start" : "middle",
  }, minutes === 0 ? "now" : `${minutes} min`.replace("-", "−")));
  return [...levels.flat(), ...times];
}

/** The chart in words. */
function describe(title, lines, points, format) {
  const said = lines.map((line) => {
    const values = points.map((point) => point[line.name]).filter((value) => value !== null && value !== undefined);
    if (values.length === 0) return `${line.label}: none`;
    const [least, most] = [Math.min(...values), Math.max(...values)];
    return `${line.label}: ${format(values.at(-1))} now, between ${format(least)} and ${format(most)}`;
  });
  return `${title} in the last 15 minutes. ${said.join(". ")}.`;
}
