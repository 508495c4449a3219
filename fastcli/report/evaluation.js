"use strict";
// Draws the report from the JSON beside it. All text goes through text nodes and attributes, never through HTML.

const data = JSON.parse(document.getElementById("data").textContent);
const page = document.getElementById("page");
const SVG = "http://www.w3.org/2000/svg";

function add(parent, element, attributes, ...children) {
  for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
  element.append(...children.filter(child => child !== null && child !== undefined));
  if (parent) parent.append(element);
  return element;
}
const h = (parent, tag, attributes, ...children) => add(parent, document.createElement(tag), attributes, ...children);
const s = (parent, tag, attributes, ...children) => add(parent, document.createElementNS(SVG, tag), attributes, ...children);
const section = (title, words) => {
  const made = h(page, "section", {}, h(null, "h2", {}, title));
  if (words) h(made, "p", { class: "muted" }, words);
  return made;
};
const percent = share => share >= 0.9995 || share === 0 ? `${Math.round(100 * share)} %` : `${(100 * share).toFixed(1)} %`;
const short = (value, digits = 4) => value === null ? "–" :
  value === 0 || (Math.abs(value) >= 1e-3 && Math.abs(value) < 1e7) ? String(Number(value.toPrecision(digits))) : value.toExponential(1);
const cut = (name, most) => name.length <= most ? name : `${name.slice(0, most - 1)}…`;
const count = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;

function drawing(parent, width, height, label) {
  return s(parent, "svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
}

// Axes over the given ranges; gives back how a value becomes a place.
function axes(svg, [left, right], [low, high], { width = 420, height = 220 } = {}) {
  const edge = { left: 48, right: 12, top: 8, bottom: 24 };
  const x = value => edge.left + (right > left ? (value - left) / (right - left) : 0.5) * (width - edge.left - edge.right);
  const y = value => edge.top + (high > low ? (high - value) / (high - low) : 0.5) * (height - edge.top - edge.bottom);
  for (let i = 0; i < 5; i++) {
    const level = low + (high - low) * i / 4;
    s(svg, "path", { class: "grid", d: `M${edge.left} ${y(level)}H${width - edge.right}` });
    s(svg, "text", { x: edge.left - 6, y: y(level) + 4, "text-anchor": "end" }, short(level, 3));
  }
  for (const value of left < right ? [left, right] : [left])
    s(svg, "text", { x: x(value), y: height - 6, "text-anchor": value === left && left < right ? "start" : "end" }, short(value, 3));
  return { x, y };
}

function summary() {
  h(page, "h1", {}, data.title);
  h(page, "p", { class: "muted" }, data.about);
  for (const note of data.notes) h(page, "p", { class: "notes" }, note);
  const cards = h(page, "div", { class: "cards" });
  for (const { name, value, note } of data.figures)
    h(cards, "div", { class: "card" }, h(null, "small", {}, name), h(null, "b", {}, value), h(null, "small", {}, note));
}

function picture(id, large) {
  const item = data.items[id];
  const words = [item.said, item.loss === undefined ? null : `loss ${short(item.loss)}`].filter(Boolean).join(", ");
  return h(null, "figure", {}, h(null, "img", { src: item.picture, alt: item.name, loading: "lazy" }),
    h(null, "figcaption", {}, item.name, h(null, "br"), large ? null : h(null, "span", {}, words)));
}

function gallery(parent, ids) {
  h(parent, "div", { class: "gallery" }, ...ids.filter(id => data.items[id]).map(id => picture(id)));
}

// A group of items (a cell of the confusion matrix, the misses of a label) is shown under its name in the address.
function choose(key) {
  const group = Object.hasOwn(data.groups, key) ? data.groups[key] : null, place = document.getElementById("chosen");
  if (!group || !place) return;
  place.replaceChildren(h(null, "h3", {}, group.title));
  const shown = group.ids.filter(id => data.items[id]);
  const left = group.total - shown.length;
  h(place, "p", { class: "muted" }, `${count(group.total, "item")}, the largest losses first` +
    (left ? `; ${shown.length ? "the first " + shown.length + " are shown" : "none of them is shown"}, to keep this file small. All are in predictions.csv.` : "."));
  gallery(place, shown);
  for (const old of document.querySelectorAll(".chosen")) old.classList.remove("chosen");
  const cell = document.querySelector(`[data-key="${CSS.escape(key)}"]`);
  if (cell) cell.classList.add("chosen");
  history.replaceState(null, "", `#${encodeURIComponent(key)}`);
}

function opens(element, key) {
  element.setAttribute("data-key", key);
  element.setAttribute("tabindex", "0");
  element.setAttribute("role", "button");
  element.addEventListener("click", () => choose(key));
  element.addEventListener("keydown", event => {
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(key); }
  });
  return element;
}

function confusion() {
  const { classes, shown, cells, totals, words: told } = data.confusion;
  const words = data.has_groups ? "Rows are the truth, columns what was predicted. Click a cell to see the pictures behind it." :
    "Rows are the truth, columns what was predicted.";
  const made = section("Confusion matrix", words);
  const n = shown.length, size = n <= 4 ? 96 : n <= 12 ? 46 : n <= 40 ? 28 : n <= 80 ? 17 : 12;
  const place = new Map(shown.map((i, k) => [i, k])), longest = Math.max(...shown.map(i => Math.min(classes[i].length, 24)));
  const edge = 12 + 6.4 * longest, side = edge + n * size + 4, turned = longest * 6.4 > size;
  const svg = drawing(h(made, "div", { class: "scroll confusion" }), side, (turned ? edge : 24) + n * size + 4, "confusion matrix");
  svg.style.width = `${side}px`;
  const top = turned ? edge : 24;
  for (let k = 0; k < n; k++) {
    const name = cut(classes[shown[k]], 24), middle = (k + 0.5) * size;
    s(svg, "text", { class: "name", x: edge - 6, y: top + middle + 4, "text-anchor": "end" }, name);
    s(svg, "text", turned ? { class: "name", transform: `translate(${edge + middle + 4} ${top - 6}) rotate(-90)` } :
      { class: "name", x: edge + middle, y: top - 8, "text-anchor": "middle" }, name);
  }
  s(svg, "rect", { class: "grid", x: edge, y: top, width: n * size, height: n * size });
  for (const [i, j, number] of cells) {
    const share = number / totals[i], key = `${i}-${j}`, x = edge + place.get(j) * size, y = top + place.get(i) * size;
    const opacity = 0.08 + 0.8 * (i === j ? share : Math.sqrt(share));
    const cell = s(svg, "rect", {
      class: `cell ${i === j ? "right" : "wrong"}`, x, y, width: size, height: size, "fill-opacity": opacity.toFixed(3),
    }, s(null, "title", {}, `${classes[i]} seen as ${classes[j]}: ${number.toLocaleString("en")} (${percent(share)} of the row)`));
    if (data.groups[key]) opens(cell, key);
    const words = number < 10000 ? number : `${Math.round(number / 1000)}k`;
    if (size >= 28) s(svg, "text", { class: opacity > 0.5 ? "number strong" : "number", x: x + size / 2, y: y + size / 2 + 4 }, words);
  }
  h(made, "p", { class: "muted" }, told);
  if (data.has_groups) h(made, "div", { id: "chosen" }, h(null, "span", { class: "muted" }, "No cell is chosen."));
  if (!data.pairs.length) return;
  const rows = section("Most confused");
  const table = h(h(rows, "div", { class: "scroll" }), "table", {}, h(null, "tr", {}, ...["truth", "seen as", "count", "of the row"].map((word, k) => h(null, "th", k > 1 ? { class: "n" } : {}, word))));
  for (const [i, j, number] of data.pairs) {
    const name = h(null, "button", { class: "link", type: "button" }, number.toLocaleString("en")), key = `${i}-${j}`;
    name.addEventListener("click", () => { choose(key); document.getElementById("chosen").scrollIntoView({ block: "nearest" }); });
    h(table, "tr", {}, h(null, "td", {}, classes[i]), h(null, "td", {}, classes[j]),
      h(null, "td", { class: "n" }, data.groups[key] ? name : number), h(null, "td", { class: "n" }, percent(number / totals[i])));
  }
}

function worst() {
  if (data.drawn) {
    const made = section("Largest losses", data.drawn.words);
    h(made, "img", { src: data.drawn.picture, alt: "the items with the largest losses" });
  } else if (data.worst.length) gallery(section("Largest losses", data.worst_words), data.worst);
}

function maps() {
  if (data.maps_missing) section("Where the model looks", data.maps_missing);
  if (!data.maps.length) return;
  const made = section("Where the model looks", "Grad-CAM on the largest losses: the picture, and in yellow what spoke for the class that was predicted and, at the right, for the true one.");
  const rows = h(made, "div", { class: "gallery large" });
  for (const map of data.maps) {
    const images = map.pictures.map(([address, words]) => h(null, "img", { src: address, alt: words, title: words }));
    h(rows, "figure", {}, h(null, "div", { class: "pair" }, ...images), h(null, "figcaption", {}, map.name, h(null, "br"), h(null, "span", {}, map.said)));
  }
}

function reliability() {
  const { bins, error } = data.calibration;
  const made = section("Calibration", `How often the model is right (bars) against how sure it is (the dashed line is a model that knows itself). The expected calibration error is ${short(error)}; orange is the gap.`);
  const figure = h(made, "figure", { class: "panel narrow" }), svg = drawing(figure, 420, 300, "share of hits by probability");
  const { x, y } = axes(svg, [0, 1], [0, 1], { height: 300 });
  for (const bin of bins.filter(each => each.items)) {
    const place = { x: x(bin.low) + 1, width: x(bin.high) - x(bin.low) - 2 };
    const words = `sure ${percent(bin.confidence)}, right ${percent(bin.accuracy)}: ${count(bin.items, "item")}`;
    s(svg, "rect", { class: "bin", ...place, y: y(bin.accuracy), height: y(0) - y(bin.accuracy) }, s(null, "title", {}, words));
    const [high, low] = [Math.max(bin.accuracy, bin.confidence), Math.min(bin.accuracy, bin.confidence)];
    s(svg, "rect", { class: "gap", ...place, y: y(high), height: y(low) - y(high) }, s(null, "title", {}, words));
  }
  s(svg, "path", { class: "ideal", d: `M${x(0)} ${y(0)}L${x(1)} ${y(1)}` });
  const most = Math.max(...bins.map(bin => bin.items)), counts = drawing(figure, 420, 60, "items by probability");
  for (const bin of bins) {
    const height = 40 * bin.items / most;
    s(counts, "rect", { class: "bin", "fill-opacity": 0.5, x: x(bin.low) + 1, width: x(bin.high) - x(bin.low) - 2, y: 44 - height, height },
      s(null, "title", {}, count(bin.items, "item")));
  }
  s(counts, "text", { x: x(0), y: 57 }, "items by probability of the predicted class");
}

function residuals() {
  const made = section("Predicted against true", data.residuals_words), panels = h(made, "div", { class: "panels" });
  const range = values => [Math.min(...values), Math.max(...values)];
  for (const { name, points } of data.residuals) {
    const all = range(points.flatMap(point => [point[0], point[1]])), errors = points.map(point => point[1] - point[0]);
    for (const [words, value, bounds] of [["predicted by true value", point => point[1], all], ["error by true value", point => point[1] - point[0], range([...errors, 0])]]) {
      const figure = h(panels, "figure", { class: "panel" }, h(null, "figcaption", {}, `${name}${words}`));
      const svg = drawing(figure, 420, 300, words), { x, y } = axes(svg, all, bounds, { height: 300 });
      s(svg, "path", { class: "ideal", d: bounds === all ? `M${x(all[0])} ${y(all[0])}L${x(all[1])} ${y(all[1])}` : `M${x(all[0])} ${y(0)}L${x(all[1])} ${y(0)}` });
      for (const point of points)
        s(svg, "circle", { class: "dot small", cx: x(point[0]), cy: y(value(point)), r: 3 }, s(null, "title", {}, `${point[2]}: ${short(point[1])} for ${short(point[0])}`));
    }
  }
}

function perClass() {
  const { columns, rows, words } = data.per_class;
  const made = section(data.kind === "regression" || data.kind === "points" ? "Each output" : "Each class", words);
  if (data.kind === "multi_category" && data.has_groups) h(made, "div", { id: "chosen" }, h(null, "span", { class: "muted" }, "Click a number of labels missed or wrongly given to see the pictures."));
  const table = h(h(made, "div", { class: "scroll" }), "table", {}), head = h(table, "tr");
  const body = h(table, "tbody");
  const draw = sorted => body.replaceChildren(...sorted.map(row => h(null, "tr", {}, ...columns.map((column, k) => {
    const value = row[k], cell = h(null, "td", k ? { class: "n" } : {});
    if (column.opens && value && data.groups[`${row[0]}:${column.name}`]) cell.append(opens(h(null, "span", { class: "link" }, String(value)), `${row[0]}:${column.name}`));
    else cell.append(typeof value === "number" ? Number.isInteger(value) && !column.share ? value.toLocaleString("en") : column.share ? value.toFixed(3) : short(value) : value === null ? "–" : String(value));
    if (column.share && value !== null) {
      const bar = h(null, "i");
      bar.style.width = `${100 * Math.max(0, Math.min(1, value))}%`;
      h(cell, "span", { class: "bar", "aria-hidden": "true" }, bar);
    }
    return cell;
  }))));
  columns.forEach((column, k) => {
    const button = h(null, "button", { type: "button", title: "sort" }, column.name);
    let up = false;
    button.addEventListener("click", () => {
      up = !up;
      draw([...rows].sort((a, b) => (up ? 1 : -1) * (typeof a[k] === "string" ? a[k].localeCompare(b[k]) : (a[k] ?? -1) - (b[k] ?? -1))));
    });
    h(head, "th", k ? { class: "n" } : {}, button);
  });
  draw(rows);
}

function curves() {
  const panels = h(section("Training", data.history.words), "div", { class: "panels" });
  for (const { name, values } of data.history.series) {
    const known = values.filter(value => value !== null);
    const figure = h(panels, "figure", { class: "panel" }, h(null, "figcaption", {}, name)), svg = drawing(figure, 420, 220, `${name} by epoch`);
    const room = 0.06 * (Math.max(...known) - Math.min(...known)) || Math.abs(known[0]) * 0.1 || 0.1;
    const low = Math.min(...known) >= 0 ? Math.max(0, Math.min(...known) - room) : Math.min(...known) - room;
    const epochs = data.history.epochs, { x, y } = axes(svg, [epochs[0], epochs[epochs.length - 1]], [low, Math.max(...known) + room]);
    let path = "", pen = "M";
    values.forEach((value, i) => { path += value === null ? "" : `${pen}${x(epochs[i])} ${y(value)}`; pen = value === null ? "M" : "L"; });
    s(svg, "path", { class: "curve", d: path });
    values.forEach((value, i) => {
      if (value === null) return;
      const best = epochs[i] === data.history.best;
      s(svg, "circle", { class: `dot${best ? " best" : ""}`, cx: x(epochs[i]), cy: y(value), r: best ? 4.5 : 2.5 }, s(null, "title", {}, `epoch ${epochs[i]}: ${short(value)}${best ? ", best" : ""}`));
    });
  }
}

summary();
if (data.confusion) confusion();
worst();
maps();
if (data.residuals) residuals();
if (data.calibration) reliability();
if (data.per_class) perClass();
if (data.history) curves();
choose(decodeURIComponent(location.hash.slice(1)));
window.addEventListener("hashchange", () => choose(decodeURIComponent(location.hash.slice(1))));
