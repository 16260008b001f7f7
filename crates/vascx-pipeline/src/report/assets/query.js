// The language of the search field, and the order of photographs.
"use strict";

const COMPARE = {
  ">=": (a, b) => a >= b,
  "<=": (a, b) => a <= b,
  "!=": (a, b) => a !== b,
  ">": (a, b) => a > b,
  "<": (a, b) => a < b,
  "=": (a, b) => Math.abs(a - b) <= 1e-6 * Math.abs(b),
};

/** Words of a query; quotes keep spaces together. */
const words = (text) => text.match(/-?(?:[^\s"]*"[^"]*"|\S+)/g) ?? [];

/** A test of photographs for every word; throws an Error that says what is wrong. */
function parseQuery(text) {
  return words(text).map((word) => {
    const not = word.startsWith("-") && word.length > 1;
    const test = parseWord((not ? word.slice(1) : word).replaceAll('"', ""));
    return not ? (row) => !test(row) : test;
  });
}

function columnNamed(name) {
  const column = cohort.byName.get(name.toLowerCase());
  if (column) return column;
  const near = [...cohort.byName.keys()].filter((key) => key.includes(name.toLowerCase())).slice(0, 3);
  throw new Error(`no column “${name}”${near.length ? `; there is ${near.join(", ")}` : ""}`);
}

function parseWord(word) {
  const comparison = word.match(/^([^<>=!:]+)(>=|<=|!=|>|<|=)(-?[\d.]+(?:e[+-]?\d+)?)$/i);
  if (comparison) {
    const [, name, operator, number] = comparison;
    const { values } = columnNamed(name);
    const [holds, limit] = [COMPARE[operator], Number(number)];
    return (row) => holds(values[row], limit) && !Number.isNaN(values[row]);
  }
  const [, name, value] = word.match(/^(flag|level|mark|note|outlier|undefined):(.*)$/i) ?? [];
  switch (name?.toLowerCase()) {
    case "flag": {
      if (value === "any") return (row) => cohort.findings[row] !== 0;
      if (value === "none") return (row) => cohort.findings[row] === 0;
      const bit = cohort.kinds.findIndex((kind) => kind.name === value.toLowerCase());
      if (bit < 0) throw new Error(`no flag “${value}”; there is ${cohort.kinds.map((kind) => kind.name).join(", ")}, any, none`);
      return (row) => ((cohort.findings[row] >> bit) & 1) === 1;
    }
    case "level":
      return (row) => cohort.levels[row] === Number(value);
    case "mark": {
      const wanted = { none: "", again: "look again" }[value] ?? value;
      if (wanted && !(wanted in MARKS)) throw new Error(`no mark “${value}”; there is keep, exclude, again, none`);
      return (row) => markOf(row) === wanted;
    }
    case "note":
      return (row) => (entryOf(row)?.note ?? "").toLowerCase().includes(value.toLowerCase()) && Boolean(entryOf(row)?.note);
    case "outlier": {
      const column = columnNamed(value);
      return (row) => Math.abs(deviationOf(column, column.values[row])) > FAR;
    }
    case "undefined": {
      const { values } = columnNamed(value);
      return (row) => Number.isNaN(values[row]);
    }
    default: {
      const text = word.toLowerCase();
      return (row) => cohort.lower[row].includes(text);
    }
  }
}

const collator = new Intl.Collator("en", { numeric: true });

/** Photographs that match, sorted: by `triage` (as they came), `id`, or a column. */
function findRows(query, sort, descending) {
  const tests = parseQuery(query);
  const rows = new Uint32Array(cohort.loaded);
  let count = 0;
  for (let row = 0; row < cohort.loaded; row++) {
    if (tests.every((test) => test(row))) rows[count++] = row;
  }
  const found = rows.slice(0, count);
  if (sort === "id") {
    const sorted = [...found].sort((a, b) => collator.compare(cohort.ids[a], cohort.ids[b]));
    found.set(sorted);
  } else if (sort !== "triage") {
    const { values } = columnNamed(sort);
    // What is undefined stays at the end either way.
    const key = (row) => (Number.isNaN(values[row]) ? Infinity : descending ? -values[row] : values[row]);
    const keys = new Float64Array(cohort.loaded);
    for (const row of found) keys[row] = key(row);
    return found.sort((a, b) => (keys[a] < keys[b] ? -1 : keys[a] > keys[b] ? 1 : a - b));
  }
  return descending ? found.reverse() : found;
}
