// What the reader decided: kept in the browser, one entry per photograph, so that a mark costs the same
// with 100 000 of them and a second window hears of it.
"use strict";

const MARKS = {
  keep: { key: "K", sign: "✓", title: "Keep" },
  exclude: { key: "X", sign: "✕", title: "Exclude" },
  "look again": { key: "L", sign: "↻", title: "Look again" },
};

/** Marks as numbers; 0 is none. */
const MARK_NAMES = ["", ...Object.keys(MARKS)];

const marks = {
  /** id → {mark, note}; no entry without either. Marks of other cohorts may be among them. */
  byId: new Map(),
  /** Number of each photograph's mark. */
  codes: new Uint8Array(0),
  /** Photographs of this cohort with each mark. */
  counts: { "": 0, keep: 0, exclude: 0, "look again": 0 },
  /** Photographs whose marks are taken. */
  arrived: 0,
  /** Earlier entries to go back to: arrays of [id, entry]. */
  history: [],
  /** Times of decisions of this session, for the pace. */
  times: [],
  unsaved: "",
};

const storageKey = (id) => `vascx:${cohort.key}:mark:${id}`;

function loadMarks() {
  marks.codes = new Uint8Array(cohort.count);
  try {
    const prefix = storageKey("");
    for (let i = 0; i < localStorage.length; i++) {
      const key = localStorage.key(i);
      if (key.startsWith(prefix)) setEntry(key.slice(prefix.length), parseEntry(localStorage.getItem(key)));
    }
  } catch (error) {
    marks.unsaved = "This browser keeps nothing for pages from disk: export the marks before closing.";
  }
  addEventListener("storage", (event) => {
    const prefix = storageKey("");
    if (event.key?.startsWith(prefix)) {
      setEntry(event.key.slice(prefix.length), parseEntry(event.newValue));
      tell("marks");
    }
  });
}

/** "mark", a line break, the note. */
function parseEntry(text) {
  if (text === null || text === undefined) return null;
  const [mark, ...note] = text.split("\n");
  return { mark: mark in MARKS ? mark : "", note: note.join("\n") };
}

/** In memory only. */
function setEntry(id, entry) {
  if (entry && (entry.mark || entry.note)) marks.byId.set(id, entry);
  else marks.byId.delete(id);
  const row = cohort.rows.get(id);
  if (row < marks.arrived) setCode(row, entry?.mark ?? "");
}

function setCode(row, name) {
  marks.counts[markOf(row)]--;
  marks.codes[row] = MARK_NAMES.indexOf(name);
  marks.counts[name]++;
}

/** Takes the marks of photographs that have just arrived. */
function markArrived() {
  for (let row = marks.arrived; row < cohort.loaded; row++) {
    marks.counts[""]++;
    const entry = entryOf(row);
    if (entry?.mark) setCode(row, entry.mark);
  }
  marks.arrived = cohort.loaded;
}

function store(id, entry) {
  setEntry(id, entry);
  try {
    const kept = marks.byId.get(id);
    if (kept) localStorage.setItem(storageKey(id), `${kept.mark}\n${kept.note}`);
    else localStorage.removeItem(storageKey(id));
  } catch (error) {
    marks.unsaved = "The browser's memory for marks is full or closed: export the marks now.";
  }
}

const entryOf = (row) => marks.byId.get(cohort.ids[row]);
const markOf = (row) => MARK_NAMES[marks.codes[row]];

/** Gives photographs a mark, "" for none; the same mark again takes it away from a single one. */
function mark(rows, name) {
  if (!rows.length) return;
  if (rows.length === 1 && markOf(rows[0]) === name) name = "";
  marks.history.push(rows.map((row) => [cohort.ids[row], entryOf(row) ?? null]));
  const now = Date.now();
  for (const row of rows) {
    if (name && !markOf(row)) marks.times.push(now);
    store(cohort.ids[row], { mark: name, note: entryOf(row)?.note ?? "" });
  }
  const what = rows.length === 1 ? cohort.ids[rows[0]] : `${show(rows.length)} photographs`;
  say(name ? `${MARKS[name].title}: ${what}` : `No mark: ${what}`);
  tell("marks");
}

function writeNote(row, note) {
  const id = cohort.ids[row];
  if ((entryOf(row)?.note ?? "") === note) return;
  marks.history.push([[id, entryOf(row) ?? null]]);
  store(id, { mark: markOf(row), note });
  tell("marks");
}

/** Takes the last decision back; gives its photographs. */
function undo() {
  const last = marks.history.pop();
  if (!last) {
    say("Nothing to take back");
    return [];
  }
  for (const [id, entry] of last) store(id, entry);
  say(last.length === 1 ? `Taken back: ${last[0][0]}` : `Taken back: ${show(last.length)} photographs`);
  tell("marks");
  return last.map(([id]) => id);
}

/** Decisions per hour in the last ten minutes; 0 when there were too few to tell. */
function pace() {
  const since = Date.now() - 600_000;
  marks.times = marks.times.filter((time) => time > since);
  if (marks.times.length < 5) return 0;
  const span = Math.max(Date.now() - marks.times[0], 30_000);
  return (marks.times.length / span) * 3_600_000;
}

const csvCell = (text) => (/[",\r\n]/.test(text) || text !== text.trim() ? `"${text.replaceAll('"', '""')}"` : text);

/** `id,mark,note`, ids in the report's order, then those of photographs that are not in it. */
function marksAsCsv() {
  const known = new Set();
  const lines = ["id,mark,note"];
  const add = (id, entry) => lines.push([id, entry.mark, entry.note].map(csvCell).join(","));
  for (const id of cohort.ids) {
    const entry = marks.byId.get(id);
    if (entry) add(id, entry);
    known.add(id);
  }
  for (const [id, entry] of marks.byId) if (!known.has(id)) add(id, entry);
  return lines.join("\r\n") + "\r\n";
}

function exportMarks() {
  if (!marks.byId.size) return say("There are no marks yet");
  const url = URL.createObjectURL(new Blob([marksAsCsv()], { type: "text/csv" }));
  const name = `marks-${cohort.title.replace(/[^\w.-]+/g, "_")}-${new Date().toISOString().slice(0, 10)}.csv`;
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
  say(`${show(marks.byId.size)} marks saved as ${name}`);
}

/** Rows of a CSV whose cells commas, semicolons or tabs separate. */
function parseCsv(text) {
  text = text.replace(/^\uFEFF/, "");
  const first = text.slice(0, text.search(/[\r\n]|$/));
  const count = (separator) => first.split(separator).length;
  const separator = [",", ";", "\t"].sort((a, b) => count(b) - count(a))[0];
  const rows = [[]];
  let [cell, quoted] = ["", false];
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (quoted) {
      if (c !== '"') cell += c;
      else if (text[i + 1] === '"') (cell += '"'), i++;
      else quoted = false;
    } else if (c === '"' && cell === "") quoted = true;
    else if (c === separator) rows.at(-1).push(cell), (cell = "");
    else if (c === "\n") rows.at(-1).push(cell), (cell = ""), rows.push([]);
    else if (c !== "\r") cell += c;
  }
  rows.at(-1).push(cell);
  return rows.filter((row) => row.some((cell) => cell !== ""));
}

/** Takes marks from a CSV, replacing those of the ids in it. */
function importMarks(text) {
  const [header, ...rows] = parseCsv(text);
  const column = (name) => (header ?? []).findIndex((cell) => cell.trim().toLowerCase() === name);
  const [id, mark, note] = ["id", "mark", "note"].map(column);
  if (id < 0 || mark < 0) return say("No marks taken: the first line must name the columns id and mark");
  const entries = rows.map((row) => ({ id: row[id], mark: (row[mark] ?? "").trim().toLowerCase(), note: row[note] ?? "" }));
  const odd = entries.find((entry) => entry.mark && !(entry.mark in MARKS));
  if (odd) return say(`No marks taken: “${odd.mark}” is no mark; use keep, exclude or look again`);
  marks.history.push(entries.map((entry) => [entry.id, marks.byId.get(entry.id) ?? null]));
  for (const entry of entries) store(entry.id, { mark: entry.mark, note: entry.note });
  say(`${show(entries.length)} marks taken`);
  tell("marks");
}
