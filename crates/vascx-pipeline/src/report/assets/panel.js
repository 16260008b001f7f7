// Everything known about the chosen photograph: decision, findings, quality, biomarkers.
"use strict";

const panel = {
  root: byId("panel"),
  row: -1,
  /** What names of biomarkers must hold to be listed. */
  wanted: "",
  /** Groups whose undefined values are listed, too. */
  open: new Set(),
};

function makePanel() {
  panel.id = make("h2.id");
  panel.where = make("p.where");
  panel.small = makeSmall();
  panel.small.classList.add("large");
  panel.buttons = Object.entries(MARKS).map(([name, { key, sign, title }]) => {
    const button = make("button.mark", { title: `${title} (${key})`, "aria-pressed": false }, `${sign} ${title}`, make("kbd", {}, key));
    button.dataset.mark = name;
    button.addEventListener("click", () => decide(name));
    return button;
  });
  panel.note = make("input.note", { type: "text", placeholder: "Note ( N )", "aria-label": "Note", maxLength: 500 });
  panel.note.addEventListener("change", () => panel.row >= 0 && writeNote(panel.row, panel.note.value.trim()));
  panel.findings = make("ul.findings");
  panel.search = make("input", { type: "search", placeholder: "Find a biomarker", "aria-label": "Find a biomarker" });
  panel.search.addEventListener("input", () => {
    panel.wanted = panel.search.value.trim().toLowerCase();
    drawColumns();
  });
  panel.groups = make("div.groups");
  panel.path = make("p.path");
  panel.body = make(
    "div.body",
    {},
    panel.small,
    panel.id,
    panel.where,
    make("div.marks", {}, ...panel.buttons),
    panel.note,
    panel.findings,
    panel.groups,
    panel.path,
  );
  panel.root.append(panel.body);
}

/** Bars of the classes' probabilities, where the table has them; their meaning is the model's. */
function qualityBars(row) {
  const classes = cohort.columns.filter((column) => column.group === "quality" && /^p\d+$/.test(column.name));
  if (!classes.length || !Number.isFinite(classes[0].values[row])) return null;
  const bar = make("div.bars", { role: "img", "aria-label": classes.map((c) => `${c.name} ${show(c.values[row], 2)}`).join(", ") });
  classes.forEach((column, i) => {
    const part = make("span", { title: `${column.name} ${show(column.values[row], 3)}` }, `${column.name} ${show(column.values[row], 2)}`);
    part.style.flexGrow = Math.max(column.values[row], 0.001);
    part.style.setProperty("--step", i / Math.max(1, classes.length - 1));
    bar.append(part);
  });
  return bar;
}

/** One value with its place among all others. */
function columnLine(row, column) {
  const value = column.values[row];
  const name = make("button.name", { title: [column.name, column.description, "click: its distribution"].filter(Boolean).join("\n") }, column.title);
  name.addEventListener("click", () => showDistribution(column));
  if (!Number.isFinite(value)) {
    return make("li.undefined", {}, name, make("span.value", {}, reasonOf(row, column) || "undefined"));
  }
  const rank = rankOf(column, value);
  const deviation = deviationOf(column, value);
  const isOutlier = column.group === "biomarker" && Math.abs(deviation) > FAR;
  const dot = make("i");
  dot.style.left = `${100 * rank}%`;
  const percent = rank < 0.01 ? "lowest 1 %" : rank > 0.99 ? "highest 1 %" : `above ${Math.round(100 * rank)} %`;
  const strip = make("span.strip", { title: `${percent} of ${show(column.count)}` }, dot);
  return make(isOutlier ? "li.outlier" : "li", {}, name, make("span.value", {}, show(value)), cohort.count > 2 ? strip : null);
}

const GROUPS = { quality: "Quality", biomarker: "Biomarkers", answer: "Answers", photograph: "Photograph" };

function drawColumns() {
  const row = panel.row;
  panel.search.remove();
  const typing = document.activeElement === panel.search;
  const sections = Object.entries(GROUPS).map(([group, title]) => {
    const all = cohort.columns.filter((column) => column.group === group);
    const isBiomarkers = group === "biomarker";
    const shown = all.filter(
      (column) => !isBiomarkers || !panel.wanted || `${column.name} ${column.title}`.toLowerCase().includes(panel.wanted),
    );
    if (!all.length) return null;
    const isDefined = (column) => Number.isFinite(column.values[row]);
    const defined = all.filter(isDefined).length;
    const count = defined === all.length ? `${all.length}` : `${defined} of ${all.length} defined`;
    const lines = (list) => list.map((column) => columnLine(row, column));
    const [there, not] = [shown.filter(isDefined), shown.filter((column) => !isDefined(column))];
    const rest = make("details", { open: panel.open.has(group) }, make("summary", {}, `${not.length} undefined`), make("ul.columns", {}, ...lines(not)));
    rest.addEventListener("toggle", () => (rest.open ? panel.open.add(group) : panel.open.delete(group)));
    return make(
      "section",
      {},
      make("h3", {}, title, make("span", {}, isBiomarkers ? count : "")),
      group === "quality" ? qualityBars(row) : null,
      isBiomarkers && defined > 8 ? panel.search : null,
      make("ul.columns", {}, ...lines(there)),
      not.length ? rest : null,
    );
  });
  panel.groups.replaceChildren(...sections.filter(Boolean));
  if (typing) panel.search.focus();
}

function drawDecision() {
  const name = panel.row < 0 ? "" : markOf(panel.row);
  for (const button of panel.buttons) button.setAttribute("aria-pressed", button.dataset.mark === name);
  if (document.activeElement !== panel.note) panel.note.value = (panel.row >= 0 && entryOf(panel.row)?.note) || "";
}

function drawPanel() {
  const row = chosen();
  if (panel.row !== row && document.activeElement === panel.note) panel.note.blur();
  panel.row = row;
  panel.body.hidden = row < 0;
  if (row < 0) return;
  // Small on the contact sheet, large in One eye, it need not be seen twice.
  panel.small.hidden = state.view === "eye" || !has(row, HAS.thumb | HAS.layers);
  drawSmall(panel.small, row);
  panel.id.textContent = cohort.ids[row];
  panel.where.textContent = `${show(state.place + 1)} of ${show(state.order.length)}`;
  panel.path.textContent = cohort.paths[row];
  panel.findings.replaceChildren(
    ...findingsOf(row).map(({ kind, text, column }) => {
      const words = column ? make("button.name", { onclick: () => showDistribution(column) }, text) : make("span", {}, text);
      return make(`li.level${kind.level}`, {}, make("b", {}, kind.title), words);
    }),
  );
  drawColumns();
  drawDecision();
}
