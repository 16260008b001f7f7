// What lies over a photograph: class maps, coloured by filters (a page from disk may show pictures but not
// read their pixels), and drawings of the fovea and the field of view.
"use strict";

const SVG = "http://www.w3.org/2000/svg";

/** Colours that stay apart for every kind of colour vision, on a red fundus. Keys switch the layers. */
const LAYERS = {
  arteries: { key: "1", title: "Arteries", color: [1, 0.2, 0.36], on: true },
  veins: { key: "2", title: "Veins", color: [0.2, 0.66, 1], on: true },
  disc: { key: "3", title: "Disc", color: [1, 0.93, 0.4], on: true },
  fovea: { key: "4", title: "Fovea", color: [1, 1, 1], on: true },
  field: { key: "5", title: "Field", color: [0.45, 1, 0.72], on: true },
  vessels: { key: "6", title: "Vessels", color: [1, 1, 1], on: false },
};

const cssColor = ([r, g, b]) => `rgb(${Math.round(255 * r)} ${Math.round(255 * g)} ${Math.round(255 * b)})`;

function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Paints a colour with an alpha computed from red, green and blue. */
const paint = (color, alpha, result) =>
  svg("feColorMatrix", { type: "matrix", in: "SourceGraphic", result, values: `${color.map((c) => `0 0 0 0 ${c}`).join(" ")} ${alpha}` });

/** Fills a mask lightly and draws its inner outline. */
function fillAndOutline(mask, fill, outline) {
  const parts = [
    svg("feComponentTransfer", { in: mask, result: `${mask}-fill` }, svg("feFuncA", { type: "linear", slope: fill })),
  ];
  if (outline) {
    parts.push(
      svg("feMorphology", { in: mask, operator: "erode", radius: "1", result: `${mask}-core` }),
      svg("feComposite", { in: mask, in2: `${mask}-core`, operator: "out", result: `${mask}-line` }),
    );
  }
  return parts;
}

const merge = (names) => svg("feMerge", {}, ...names.map((name) => svg("feMergeNode", { in: name })));

const filter = (id, ...parts) =>
  svg("filter", { id, "color-interpolation-filters": "sRGB", x: "0", y: "0", width: "1", height: "1" }, ...parts);

/** A layer of a class map: `classes` says for values 0, 1, 2, 3 and above whether they belong to it. */
function mapFilter(id, color, classes) {
  return filter(
    id,
    // Grey levels 0…3 of 255 go to the middle of four equal steps.
    paint(color, "63.75 0 0 0 0.125", "steps"),
    svg("feComponentTransfer", { in: "steps", result: "mask" }, svg("feFuncA", { type: "discrete", tableValues: classes })),
    ...fillAndOutline("mask", state.fill, state.outline),
    merge(state.outline ? ["mask-fill", "mask-line"] : ["mask-fill"]),
  );
}

/** Small pictures have coverage by arteries, disc and veins in red, green and blue. */
function smallFilter() {
  const parts = [];
  const shown = [];
  const add = (name, alpha) => {
    if (!LAYERS[name].on) return;
    parts.push(paint(LAYERS[name].color, alpha, name));
    shown.push(name);
  };
  add("veins", "0 0 1.5 0 0");
  add("arteries", "1.5 0 0 0 0");
  if (LAYERS.disc.on) {
    parts.push(paint(LAYERS.disc.color, "0 1.5 0 0 0", "disc"), ...fillAndOutline("disc", 0.12, true));
    shown.push("disc-fill", "disc-line");
  }
  if (!shown.length) parts.push(svg("feFlood", { "flood-opacity": "0", result: "nothing" })), shown.push("nothing");
  return filter("small", ...parts, merge(shown));
}

function drawFilters() {
  const color = (name) => LAYERS[name].color;
  byId("filters").replaceChildren(
    smallFilter(),
    mapFilter("arteries", color("arteries"), "0 1 0 1"),
    mapFilter("veins", color("veins"), "0 0 1 1"),
    mapFilter("vessels", color("vessels"), "0 1 1 1"),
    mapFilter("disc", color("disc"), "0 1 1 1"),
    filter("redfree", svg("feColorMatrix", { type: "matrix", values: "0 1.5 0 0 -0.08  0 1.5 0 0 -0.08  0 1.5 0 0 -0.08  0 0 0 1 0" })),
  );
}

/** Shows the layers that are switched on. */
function applyLayers() {
  drawFilters();
  for (const name of Object.keys(LAYERS)) document.body.classList.toggle(`no-${name}`, !LAYERS[name].on);
}

function switchLayer(name) {
  LAYERS[name].on = !LAYERS[name].on;
  applyLayers();
  say(`${LAYERS[name].title} ${LAYERS[name].on ? "shown" : "hidden"}`);
  tell("layers");
}

/** The outline of a field of view: the circle of the crop, with what its straight edges cut off. */
function fieldPath(row) {
  const [left, top, right, bottom] = cohort.cuts.subarray(4 * row, 4 * row + 4);
  const points = [];
  for (let i = 0; i < 120; i++) {
    const angle = (i * Math.PI) / 60;
    const x = Math.min(Math.max(512 + 511 * Math.cos(angle), left), right);
    const y = Math.min(Math.max(512 + 511 * Math.sin(angle), top), bottom);
    points.push(`${x.toFixed(1)} ${y.toFixed(1)}`);
  }
  return `M${points.join("L")}Z`;
}

/** An empty drawing; `drawVectors` fills it. */
function makeVectors() {
  const drawing = svg("svg", { viewBox: "0 0 1024 1024", class: "vectors", "aria-hidden": "true" });
  drawing.append(
    svg("path", { class: "field" }),
    svg("path", { class: "fovea halo" }),
    svg("path", { class: "fovea" }),
  );
  return drawing;
}

function drawVectors(drawing, row) {
  const [field, halo, cross] = drawing.children;
  field.setAttribute("d", cohort.fields[row] === 1 ? fieldPath(row) : "");
  field.classList.toggle("doubtful", cohort.fields[row] === 2);
  const [x, y] = cohort.foveas.subarray(2 * row, 2 * row + 2);
  const at = (dx, dy) => `${(x + dx).toFixed(1)} ${(y + dy).toFixed(1)}`;
  const d = Number.isFinite(x + y)
    ? `M${at(-34, 0)}L${at(-10, 0)}M${at(10, 0)}L${at(34, 0)}M${at(0, -34)}L${at(0, -10)}M${at(0, 10)}L${at(0, 34)}`
    : "";
  halo.setAttribute("d", d);
  cross.setAttribute("d", d);
}

const thumbUrl = (row, extension) => {
  const key = cohort.keys[row];
  return `report_files/pictures/${key.slice(0, 2)}/${key}.${extension}`;
};

const has = (row, what) => (cohort.pictures[row] & what) !== 0;

/** Address of a picture in one of the folders of results; no id leads out of it. */
const pictureUrl = (row, folder) => {
  const names = [folder, ...cohort.folders[row].split("/").filter(Boolean), `${cohort.ids[row]}.png`];
  return names.map(encodeURIComponent).join("/");
};

/** Sets a picture's address, or none; an <img> without one shows nothing. */
function setSource(image, url) {
  if (image.getAttribute("src") === url) return;
  if (url) image.setAttribute("src", url);
  else image.removeAttribute("src");
}

/** A small photograph with its layers; `drawSmall` fills it. */
function makeSmall() {
  const image = (name) => make(`img.${name}`, { alt: "", draggable: false, decoding: "async" });
  return make("div.small", {}, image("photo"), image("layers"), makeVectors());
}

function drawSmall(small, row) {
  const [photo, layers, drawing] = small.children;
  setSource(photo, has(row, HAS.thumb) ? thumbUrl(row, "jpg") : null);
  setSource(layers, has(row, HAS.layers) ? thumbUrl(row, "png") : null);
  drawVectors(drawing, row);
}
