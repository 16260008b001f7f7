// Photographs as the data scripts give them: columns of numbers over all photographs, in the order in
// which they should be looked at.
"use strict";

/** Where the browser stands: what is shown, in which order, and the chosen photograph. */
const state = {
  view: "sheet",
  /** Photographs that match the query, as numbers into the cohort's columns. */
  order: new Uint32Array(0),
  /** Place of the chosen one in `order`; -1 without any. */
  place: -1,
  /** Opacity of what layers fill, 0…1. */
  fill: 0.35,
  outline: true,
  redfree: false,
  tile: 168,
};

const events = new EventTarget();
const tell = (name) => events.dispatchEvent(new Event(name));
const on = (name, act) => events.addEventListener(name, act);

const HAS = { thumb: 1, layers: 2, crop: 4, vesselPair: 8, vessels: 16, disc: 32 };

const cohort = {
  title: "",
  key: "",
  count: 0,
  /** Photographs that have arrived. */
  loaded: 0,
  kinds: [],
  columns: [],
  byName: new Map(),
  ids: [],
  /** Photographs by id. */
  rows: new Map(),
  /** How many photographs have each kind of finding. */
  kindCounts: [],
  lower: [],
  paths: [],
  folders: [],
  keys: [],
  texts: new Map(),
  reasonTexts: [],
  reasons: [],
  chunk: 1,
};

const base = document.body.dataset.data;

/** Little-endian numbers in base64. */
function numbers(text, Type) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return new Type(bytes.buffer);
}

/** Called by index.js. */
function vascxIndex(index) {
  const n = index.photographs;
  FAR = index.far;
  Object.assign(cohort, {
    title: index.title,
    key: index.cohort,
    version: index.version,
    count: n,
    chunk: index.chunk,
    kinds: index.kinds,
    kindCounts: index.kinds.map(() => 0),
    reasonTexts: index.reasons,
    pictures: new Uint8Array(n),
    findings: new Uint16Array(n),
    levels: new Uint8Array(n),
    fields: new Uint8Array(n),
    cuts: new Float32Array(4 * n),
    foveas: new Float32Array(2 * n),
    deviations: new Float32Array(n),
  });
  cohort.columns = index.columns.map((column, number) => ({
    ...column,
    number,
    values: new Float32Array(n),
    median: column.percentiles[50],
  }));
  for (const column of cohort.columns) cohort.byName.set(column.name.toLowerCase(), column);
}

/** Called by each chunk's script, in their order. */
function vascxChunk(chunk) {
  const from = cohort.loaded;
  for (const name of ["ids", "paths", "folders"]) for (const text of chunk[name]) cohort[name].push(text);
  chunk.ids.forEach((id, i) => {
    cohort.lower.push(id.toLowerCase());
    cohort.keys.push(chunk.keys.slice(16 * i, 16 * i + 16));
  });
  cohort.pictures.set(numbers(chunk.pictures, Uint8Array), from);
  cohort.findings.set(numbers(chunk.findings, Uint16Array), from);
  cohort.fields.set(numbers(chunk.fields, Uint8Array), from);
  cohort.cuts.set(numbers(chunk.cuts, Float32Array), 4 * from);
  cohort.foveas.set(numbers(chunk.foveas, Float32Array), 2 * from);
  cohort.deviations.set(numbers(chunk.deviations, Float32Array), from);
  chunk.columns.forEach((text, i) => cohort.columns[i].values.set(numbers(text, Float32Array), from));
  for (const [i, texts] of Object.entries(chunk.texts)) cohort.texts.set(from + Number(i), texts);
  cohort.reasons.push(numbers(chunk.reasons, Uint16Array));
  for (let i = from; i < cohort.ids.length; i++) {
    cohort.rows.set(cohort.ids[i], i);
    cohort.kinds.forEach((kind, bit) => {
      if (!((cohort.findings[i] >> bit) & 1)) return;
      cohort.kindCounts[bit]++;
      cohort.levels[i] = Math.max(cohort.levels[i], kind.level);
    });
  }
  cohort.loaded = cohort.ids.length;
}

function loadScript(name) {
  return new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = `${base}/${name}`;
    script.onload = () => {
      script.remove();
      done();
    };
    script.onerror = () => failed(new Error(`${base}/${name} is not there; keep report.html and report_files together`));
    document.head.append(script);
  });
}

/** Loads everything, telling "chunk" after each part. */
async function loadCohort() {
  await loadScript("index.js");
  const chunks = Math.ceil(cohort.count / cohort.chunk);
  for (let number = 0; number < chunks; number++) {
    await loadScript(`chunk-${String(number).padStart(4, "0")}.js`);
    tell("chunk");
    // Lets the browser draw and hear keys in between.
    await new Promise((done) => setTimeout(done));
  }
}

/** Why a value is undefined, or nothing. */
function reasonOf(row, column) {
  const chunk = Math.floor(row / cohort.chunk);
  const list = cohort.reasons[chunk];
  const place = row - chunk * cohort.chunk;
  let [low, high] = [0, list.length / 3];
  while (low < high) {
    const middle = (low + high) >> 1;
    const later = list[3 * middle] - place || list[3 * middle + 1] - column.number;
    if (later === 0) return cohort.reasonTexts[list[3 * middle + 2]];
    if (later < 0) low = middle + 1;
    else high = middle;
  }
  return "";
}

/** Robust standard deviations from the median, as the program counts them; 0 where none can be told. */
function deviationOf(column, value) {
  if (!column.spread || !Number.isFinite(value)) return 0;
  const distance = value - column.median;
  const spread = column.spread[distance < 0 ? 0 : 1];
  return spread > 0 ? distance / spread : 0;
}

/** Robust standard deviations beyond which a value is an outlier; index.js says how many. */
let FAR = Infinity;

/** Biomarkers of a photograph that lie far off, the farthest first. */
function outliersOf(row) {
  if (!cohort.deviations[row]) return [];
  return cohort.columns
    .filter((column) => column.group === "biomarker")
    .map((column) => ({ column, value: column.values[row], deviation: deviationOf(column, column.values[row]) }))
    .filter((one) => Math.abs(one.deviation) > FAR)
    .sort((a, b) => Math.abs(b.deviation) - Math.abs(a.deviation));
}

/** Share of the cohort below a value, 0…1. */
function rankOf(column, value) {
  const p = column.percentiles;
  if (!p.length || !Number.isFinite(value)) return NaN;
  let [low, high] = [0, 100];
  if (value <= p[0]) return 0;
  if (value >= p[100]) return 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (p[middle] <= value) low = middle;
    else high = middle;
  }
  return (low + (value - p[low]) / (p[high] - p[low] || 1)) / 100;
}

/** Findings of a photograph with their words. */
function findingsOf(row) {
  const found = (cohort.texts.get(row) ?? []).map(([kind, text]) => ({ kind: cohort.kinds[kind], text }));
  for (const { column, value, deviation } of outliersOf(row)) {
    const side = deviation < 0 ? "below" : "above";
    found.push({
      kind: cohort.kinds.find((kind) => kind.name === "outlier"),
      column,
      text: `${column.title} ${show(value)}: ${brief(Math.abs(deviation), 2)} robust SD ${side} the median ${show(column.median)} of ${show(column.count)}`,
    });
  }
  return found.sort((a, b) => b.kind.level - a.kind.level);
}

/** A number with few digits, as one reads it. */
function show(value, digits = 4) {
  if (!Number.isFinite(value)) return "–";
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return value.toLocaleString("en-US").replaceAll(",", "\u202f");
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) return value.toExponential(Math.max(digits - 2, 1));
  return value.toPrecision(digits);
}

/** The same without zeros at the end, as on an axis. */
const brief = (value, digits = 4) => (Number.isInteger(value) ? show(value) : show(value, digits).replace(/(\.\d*?)0+(?=e|$)/, "$1").replace(/\.(?=e|$)/, ""));

/** An element with properties and children; text never becomes markup. */
function make(tag, properties = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key in element) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const byId = (id) => document.getElementById(id);

/** Reads aloud for those who listen, and shows briefly. */
function say(text) {
  const place = byId("said");
  place.textContent = text;
  place.classList.add("shown");
  clearTimeout(say.timer);
  say.timer = setTimeout(() => place.classList.remove("shown"), 2200);
}

const chosen = () => (state.place < 0 ? -1 : state.order[state.place]);

/** Chooses the photograph at a place of the order. */
function choose(place) {
  if (!state.order.length) place = -1;
  else place = Math.max(0, Math.min(state.order.length - 1, place));
  if (place === state.place) return;
  state.place = place;
  tell("choose");
}
