// Views, search, keys: everything that ties the parts together.
"use strict";

const KEYS = [
  ["Decide", [["K", "keep"], ["X", "exclude"], ["L", "look again"], ["C", "clear the mark"], ["N", "write a note"], ["U", "take back"], ["Shift K", "keep all undecided on this screen, go on"], ["A", "go on by itself after a decision"]]],
  ["Move", [["← → ↑ ↓", "other photographs"], ["Page ↑ ↓", "a screen on"], ["Home End", "first, last"], ["F", "next with a finding and no mark"], ["Enter", "one eye, and back"], ["Escape", "back; clear the search"]]],
  ["See", [["Space (hold)", "bare photograph"], ["1 2 3 4 5 6", "arteries, veins, disc, fovea, field, vessels"], ["[ ]", "opacity of layers"], ["O", "outlines"], ["G", "red-free"], ["+ −", "larger, smaller"], ["0", "whole picture"]]],
  ["Find", [["/", "search and filter"], ["S", "contact sheet"], ["D", "distributions"], ["R", "reverse the order"], ["E", "export marks"], ["T", "dark or light"], ["?", "this help"]]],
];
const EXAMPLES = [
  ["flag:field", "doubtful field of view (also failed, implausible, missing, outlier, any, none …)"],
  ["mark:none", "not decided yet (also keep, exclude, again)"],
  ["p3>0.5", "any column against a number: > < >= <= = !="],
  ["outlier:NAME  undefined:NAME", "far off, or without a value, in a column"],
  ["-text  \"two words\"", "not; words that belong together"],
];

const remembered = (name) => {
  try {
    return localStorage.getItem(`vascx:${name}`);
  } catch (error) {
    return null;
  }
};
const remember = (name, value) => {
  try {
    localStorage.setItem(`vascx:${name}`, value);
  } catch (error) {
    // What is only comfort need not be kept.
  }
};

let goOn = remembered("go-on") !== "no";
let descending = false;

/** Finds photographs anew; the chosen one stays chosen where it still matches. */
function refresh() {
  const row = chosen();
  const problem = byId("query-problem");
  try {
    state.order = findRows(byId("query").value, byId("sort").value, descending);
    problem.hidden = true;
  } catch (error) {
    problem.textContent = error.message;
    problem.hidden = false;
    return;
  }
  const place = row < 0 ? -1 : state.order.indexOf(row);
  state.place = place >= 0 ? place : Math.min(Math.max(state.place, 0), state.order.length - 1);
  tell("order");
}

function setQuery(text) {
  byId("query").value = text;
  refresh();
  showChosen();
}

function choosePhotograph(row) {
  const place = state.order.indexOf(row);
  if (place >= 0) choose(place);
}

/** Marks the chosen photograph and goes on to the next. */
function decide(name) {
  const row = chosen();
  if (row < 0) return;
  const { place } = state;
  mark([row], name);
  // Where the filter let it go, the next one has taken its place already.
  if (goOn && name && state.view !== "plots" && state.order[place] === row) choose(place + 1);
}

function nextFinding() {
  for (let place = state.place + 1; place < state.order.length; place++) {
    const row = state.order[place];
    if (cohort.findings[row] && !markOf(row)) return choose(place);
  }
  say("No further finding without a mark");
}

function showView(name) {
  state.view = name;
  for (const view of ["sheet", "eye", "plots"]) {
    byId(view).hidden = view !== name;
    byId(`to-${view}`).setAttribute("aria-pressed", view === name);
  }
  document.body.dataset.view = name;
  tell("view");
  (name === "plots" ? plots.canvas : byId(name)).focus({ preventScroll: true });
}

function drawChips() {
  const chip = (query, title, count, className = "") => {
    const pressed = byId("query").value.trim() === query;
    const button = make(`button.chip${className}`, { "aria-pressed": pressed }, title, make("span", {}, show(count)));
    button.addEventListener("click", () => setQuery(pressed ? "" : query));
    return button;
  };
  const kinds = cohort.kinds.map((kind, bit) => cohort.kindCounts[bit] && chip(`flag:${kind.name}`, kind.title, cohort.kindCounts[bit], `.level${kind.level}`));
  const free = chip("mark:none", "Undecided", marks.counts[""]);
  const named = Object.entries(MARKS).map(
    ([name, { sign, title }]) => marks.counts[name] && chip(`mark:${name === "look again" ? "again" : name}`, `${sign} ${title}`, marks.counts[name]),
  );
  byId("chips").replaceChildren(...[chip("", "All", cohort.loaded), ...kinds, make("i.split"), free, ...named].filter(Boolean));
}

function drawFooter() {
  const done = cohort.loaded - marks.counts[""];
  byId("shown").textContent = `${show(state.order.length)} of ${show(cohort.loaded)} photographs`;
  const perHour = pace();
  const left = cohort.count - done;
  const hours = left / perHour;
  const time = hours >= 1 ? `${brief(hours, 2)} h` : `${Math.max(1, Math.round(60 * hours))} min`;
  const rate = perHour && left ? ` · ${show(Math.round(perHour))} an hour, ${time} left` : "";
  byId("pace").textContent = marks.unsaved || `${show(done)} decided, ${show(left)} to go${rate}`;
  byId("pace").classList.toggle("problem", Boolean(marks.unsaved));
  Object.assign(byId("decided"), { max: Math.max(1, cohort.count), value: done });
}

function drawLayerButtons() {
  byId("layers").replaceChildren(
    ...Object.entries(LAYERS).map(([name, { key, title, color, on: isOn }]) => {
      const button = make("button.layer", { "aria-pressed": isOn, title: `${title} (${key})`, onclick: () => switchLayer(name) }, title);
      button.style.setProperty("--color", cssColor(color));
      return button;
    }),
  );
}

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  remember("theme", name);
  tell("view");
}

function nextTheme() {
  const isDark = document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  setTheme(isDark ? "light" : "dark");
}

function setTile(size) {
  state.tile = Math.max(88, Math.min(320, size));
  byId("size").value = state.tile;
  remember("tile", state.tile);
  drawSheet();
  showChosen();
}

function fillSort() {
  const select = byId("sort");
  const option = (value, text) => make("option", { value }, text);
  select.append(option("triage", "first to be checked"), option("id", "id"));
  for (const [group, title] of Object.entries(GROUPS)) {
    const columns = cohort.columns.filter((column) => column.group === group);
    if (!columns.length) continue;
    const list = make("optgroup", { label: title });
    list.append(...columns.map((column) => option(column.name, column.title)));
    select.append(list);
  }
}

function fillHelp() {
  const keys = (list) => make("dl", {}, ...list.flatMap(([key, what]) => [make("dt", {}, ...key.split(" ").map((k) => make("kbd", {}, k))), make("dd", {}, what)]));
  const close = make("button", { onclick: () => byId("keys").close() }, "Close");
  byId("keys").append(
    make("h2", { id: "keys-title" }, "Keys"),
    make("div.columns", {}, ...KEYS.map(([title, list]) => make("section", {}, make("h3", {}, title), keys(list)))),
    make("h3", {}, "Search"),
    make("dl.examples", {}, ...EXAMPLES.flatMap(([text, what]) => [make("dt", {}, make("code", {}, text)), make("dd", {}, what)])),
    make("p", {}, `Marks stay in this browser; export them to use or keep them. Made by vascx ${cohort.version}; nothing is loaded from the network.`),
    close,
  );
}

function move(key) {
  const grid = state.view === "sheet" ? sheetGrid() : { across: 1, high: 0, step: 1 };
  const screen = state.view === "sheet" ? Math.max(1, Math.floor(grid.high / grid.step)) * grid.across : 10;
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -grid.across, ArrowDown: grid.across, PageUp: -screen, PageDown: screen };
  if (key === "Home") choose(0);
  else if (key === "End") choose(state.order.length - 1);
  else if (state.view === "sheet" && key === "ArrowDown" && state.place + grid.across >= state.order.length) choose(state.order.length - 1);
  else choose(state.place + steps[key]);
  showChosen();
}

const ACTIONS = {
  k: () => decide("keep"),
  K: keepScreen,
  x: () => decide("exclude"),
  l: () => decide("look again"),
  c: () => mark([chosen()].filter((row) => row >= 0), ""),
  n: () => panel.note.focus(),
  u: () => {
    const [id] = undo();
    if (cohort.rows.has(id)) choosePhotograph(cohort.rows.get(id));
    showChosen();
  },
  a: () => {
    goOn = !goOn;
    remember("go-on", goOn ? "yes" : "no");
    say(goOn ? "Goes on after a decision" : "Stays after a decision");
  },
  f: nextFinding,
  s: () => showView("sheet"),
  d: () => showView("plots"),
  r: () => byId("direction").click(),
  e: exportMarks,
  t: nextTheme,
  o: () => setOutline(!state.outline),
  g: () => setRedfree(!state.redfree),
  "[": () => setFill(state.fill - 0.1),
  "]": () => setFill(state.fill + 0.1),
  "+": () => (state.view === "eye" ? zoomBy(1.5) : setTile(state.tile + 24)),
  "-": () => (state.view === "eye" ? zoomBy(1 / 1.5) : setTile(state.tile - 24)),
  0: resetZoom,
  "/": () => byId("query").select(),
  "?": () => byId("keys").showModal(),
  Enter: () => showView(state.view === "eye" ? "sheet" : "eye"),
  Escape: () => (state.view === "sheet" ? setQuery("") : showView("sheet")),
};
for (const [name, { key }] of Object.entries(LAYERS)) ACTIONS[key] = () => switchLayer(name);

function onKey(event) {
  const { target, key } = event;
  if (event.ctrlKey && key.toLowerCase() === "z" && !target.matches("input")) return event.preventDefault(), ACTIONS.u();
  if (event.ctrlKey || event.metaKey || event.altKey || byId("keys").open) return;
  if (target.matches("input:not([type=range]), select")) {
    if (key === "Escape" || (key === "Enter" && target.matches("input"))) {
      event.preventDefault();
      if (key === "Escape" && target.id === "query") setQuery("");
      target.blur();
      byId(state.view).focus({ preventScroll: true });
    }
    return;
  }
  const onButton = target.matches("button") && (key === "Enter" || key === " ");
  if (onButton) return;
  if (key === " ") {
    event.preventDefault();
    document.body.classList.add("bare");
  } else if (/^(Arrow|Page|Home$|End$)/.test(key) && !target.matches("input")) {
    event.preventDefault();
    move(key);
  } else {
    const act = Object.hasOwn(ACTIONS, key) ? ACTIONS[key] : ACTIONS[key.toLowerCase()];
    if (!act || (key.length === 1 && key !== key.toLowerCase() && !Object.hasOwn(ACTIONS, key))) return;
    event.preventDefault();
    act();
  }
}

/** The address names what is shown, so that it can be kept or given on. */
function writeAddress() {
  const row = chosen();
  const parts = { q: byId("query").value.trim(), sort: byId("sort").value, down: descending ? "1" : "", view: state.view, id: row < 0 ? "" : cohort.ids[row] };
  const usual = { sort: "triage", view: "sheet" };
  const hash = new URLSearchParams(Object.entries(parts).filter(([name, value]) => value && value !== usual[name])).toString();
  try {
    history.replaceState(null, "", `#${hash}`);
  } catch (error) {
    // Some browsers do not let pages from disk do so.
  }
  remember(`${cohort.key}:place`, cohort.ids[row] ?? "");
}

function readAddress() {
  const parts = new URLSearchParams(location.hash.slice(1));
  byId("query").value = parts.get("q") ?? "";
  if (parts.get("sort")) byId("sort").value = parts.get("sort");
  if (!byId("sort").value) byId("sort").value = "triage";
  if (parts.get("down")) setDirection(true);
  const view = ["sheet", "eye", "plots"].includes(parts.get("view")) ? parts.get("view") : "sheet";
  return { view, id: parts.get("id") ?? remembered(`${cohort.key}:place`) };
}

function setDirection(down) {
  descending = down;
  const button = byId("direction");
  button.textContent = down ? "↓" : "↑";
  button.setAttribute("aria-pressed", down);
}

function soon(act, wait = 0) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(act, wait);
  };
}

function wire() {
  for (const view of ["sheet", "eye", "plots"]) byId(`to-${view}`).addEventListener("click", () => showView(view));
  byId("query").addEventListener("input", soon(refresh, 80));
  byId("sort").addEventListener("change", () => {
    refresh();
    choose(0);
    showChosen();
  });
  byId("direction").addEventListener("click", () => {
    setDirection(!descending);
    refresh();
    choose(0);
    showChosen();
  });
  byId("export").addEventListener("click", exportMarks);
  byId("import").addEventListener("click", () => byId("import-file").click());
  byId("import-file").addEventListener("change", async (event) => {
    const [file] = event.target.files;
    if (file) importMarks(await file.text());
    event.target.value = "";
  });
  byId("theme").addEventListener("click", nextTheme);
  byId("help").addEventListener("click", () => byId("keys").showModal());
  byId("size").addEventListener("input", (event) => setTile(Number(event.target.value)));
  document.addEventListener("keydown", onKey);
  document.addEventListener("keyup", (event) => event.key === " " && document.body.classList.remove("bare"));
  addEventListener("blur", () => document.body.classList.remove("bare"));
  const address = soon(writeAddress, 300);
  addEventListener("pagehide", () => cohort.loaded && writeAddress());
  on("choose", () => {
    drawSheet();
    drawEye();
    drawPanel();
    plots.plot.draw();
    address();
  });
  on("order", () => {
    drawSheet();
    drawEye();
    drawPanel();
    drawPlots();
    drawChips();
    drawFooter();
    address();
  });
  on("view", () => {
    drawSheet();
    showChosen();
    drawEye();
    drawPanel();
    drawPlots();
    address();
  });
  on("marks", () => {
    // Marks decide about photographs only where the query asks for them.
    if (/\b(mark|note):/.test(byId("query").value)) return refresh();
    drawSheet();
    drawDecision();
    drawChips();
    drawFooter();
    plots.plot.draw();
  });
  on("layers", drawLayerButtons);
}

async function start() {
  const theme = remembered("theme");
  if (theme) document.documentElement.dataset.theme = theme;
  makeEye();
  makePanel();
  makePlots();
  wire();
  let wanted = null;
  on("chunk", () => {
    if (!wanted) begin();
    markArrived();
    if (!wanted) {
      wanted = readAddress();
      refresh();
      showView(wanted.view);
    } else refresh();
    // Until the reader chooses, the photograph of last time is waited for.
    const row = cohort.rows.get(wanted.id);
    if (row !== undefined) {
      wanted.id = null;
      choosePhotograph(row);
      showChosen();
    }
    byId("loading").hidden = cohort.loaded === cohort.count;
    byId("loading").textContent = `loading ${show(cohort.loaded)} of ${show(cohort.count)}`;
  });
  try {
    await loadCohort();
    document.body.dataset.loaded = "all";
    drawPlots();
  } catch (error) {
    byId("query-problem").textContent = error.message;
    byId("query-problem").hidden = false;
  }
}

/** Everything that needs the index. */
function begin() {
  document.title = `${cohort.title} · VascX report`;
  byId("title").textContent = cohort.title;
  loadMarks();
  fillSort();
  fillPlots();
  fillHelp();
  setFill(state.fill);
  setOutline(state.outline);
  applyLayers();
  drawLayerButtons();
  setTile(Number(remembered("tile")) || state.tile);
}

start();
