// The contact sheet: only the tiles on screen exist, and are used again while one scrolls.
"use strict";

const GAP = 8;
const CAPTION = 22;

const sheet = { root: byId("sheet"), space: make("div.space-for-all"), blank: make("p.blank"), tiles: new Map(), free: [] };

function sheetGrid() {
  const width = sheet.root.clientWidth - 2 * GAP;
  const across = Math.max(1, Math.floor((width + GAP) / (state.tile + GAP)));
  const size = Math.floor((width + GAP) / across) - GAP;
  const step = size + CAPTION + GAP;
  return { across, size, step, rows: Math.ceil(state.order.length / across), high: sheet.root.clientHeight };
}

function makeTile() {
  const small = makeSmall();
  const flag = make("span.flag");
  const sign = make("span.sign");
  const why = make("p.why");
  const caption = make("span.id");
  const value = make("span.value");
  const tile = make("div.tile", { role: "option" }, make("div.frame", {}, small, why, flag, sign), make("div.caption", {}, caption, value));
  Object.assign(tile, { parts: { small, why, flag, sign, caption, value }, place: -1, row: -1 });
  tile.addEventListener("click", () => {
    choose(tile.place);
    sheet.root.focus({ preventScroll: true });
  });
  tile.addEventListener("dblclick", () => showView("eye"));
  return tile;
}

/** The finding to name on a tile: one of the gravest. */
function gravest(row) {
  const bits = cohort.findings[row];
  let best = null;
  cohort.kinds.forEach((kind, bit) => {
    if ((bits >> bit) & 1 && (!best || kind.level > best.level)) best = kind;
  });
  return best;
}

function drawTile(tile, place, grid) {
  const row = state.order[place];
  tile.place = place;
  const x = GAP + (place % grid.across) * (grid.size + GAP);
  const y = GAP + Math.floor(place / grid.across) * grid.step;
  tile.style.transform = `translate(${x}px, ${y}px)`;
  tile.style.width = `${grid.size}px`;
  const { small, why, flag, sign, caption, value } = tile.parts;
  if (tile.row !== row) {
    tile.row = row;
    tile.id = `tile-${row}`;
    drawSmall(small, row);
    const kind = gravest(row);
    flag.className = `flag level${kind?.level ?? 0}`;
    flag.textContent = kind?.title ?? "";
    // Where there is nothing to see, the reason is.
    why.textContent = has(row, HAS.thumb) ? "" : cohort.texts.get(row)?.[0][1] ?? "no picture";
    caption.textContent = cohort.ids[row];
    tile.title = cohort.ids[row];
    tile.setAttribute("aria-setsize", state.order.length);
    tile.setAttribute("aria-posinset", place + 1);
  }
  const column = cohort.byName.get(byId("sort").value.toLowerCase());
  value.textContent = column ? show(column.values[row]) : "";
  const name = markOf(row);
  tile.dataset.mark = name;
  sign.textContent = name ? MARKS[name].sign : "";
  tile.setAttribute("aria-label", [cohort.ids[row], flag.textContent, name].filter(Boolean).join(", "));
  const isChosen = place === state.place;
  tile.classList.toggle("chosen", isChosen);
  tile.setAttribute("aria-selected", isChosen);
}

/** Draws what is on screen and a row above and below. */
function drawSheet() {
  if (state.view !== "sheet") return;
  const grid = sheetGrid();
  sheet.space.style.height = `${grid.rows * grid.step + GAP}px`;
  sheet.root.style.setProperty("--tile", `${grid.size}px`);
  const top = Math.max(0, Math.floor(sheet.root.scrollTop / grid.step) - 1);
  const bottom = Math.ceil((sheet.root.scrollTop + grid.high) / grid.step) + 1;
  const from = top * grid.across;
  const to = Math.min(bottom * grid.across, state.order.length);
  for (const [place, tile] of sheet.tiles) {
    if (place < from || place >= to) {
      sheet.tiles.delete(place);
      sheet.free.push(tile);
    }
  }
  for (let place = from; place < to; place++) {
    let tile = sheet.tiles.get(place);
    if (!tile) {
      tile = sheet.free.pop() ?? makeTile();
      sheet.tiles.set(place, tile);
    }
    drawTile(tile, place, grid);
    if (!tile.isConnected) sheet.space.append(tile);
    tile.hidden = false;
  }
  for (const tile of sheet.free) tile.hidden = true;
  sheet.blank.hidden = state.order.length > 0 || cohort.loaded === 0;
  const row = chosen();
  if (row >= 0) sheet.root.setAttribute("aria-activedescendant", `tile-${row}`);
  else sheet.root.removeAttribute("aria-activedescendant");
}

/** Scrolls until the chosen tile is whole on screen. */
function showChosen() {
  if (state.view !== "sheet" || state.place < 0) return;
  const grid = sheetGrid();
  const y = Math.floor(state.place / grid.across) * grid.step;
  const { scrollTop } = sheet.root;
  if (y < scrollTop) sheet.root.scrollTop = y;
  else if (y + grid.step + GAP > scrollTop + grid.high) sheet.root.scrollTop = y + grid.step + GAP - grid.high;
}

/** Places of the tiles that are whole on screen. */
function wholeOnScreen() {
  const grid = sheetGrid();
  const first = Math.ceil((sheet.root.scrollTop - GAP) / grid.step);
  const last = Math.max(first + 1, Math.floor((sheet.root.scrollTop + grid.high) / grid.step));
  return [Math.max(0, first) * grid.across, Math.min(last * grid.across, state.order.length)];
}

/** Keeps all on screen that have no mark yet and goes to the next screen. */
function keepScreen() {
  const [from, to] = wholeOnScreen();
  const rows = [...state.order.slice(from, to)].filter((row) => !markOf(row));
  if (!rows.length) say("All on this screen are decided");
  mark(rows, "keep");
  // A filter such as mark:none has already drawn the next ones in.
  if (to < state.order.length && state.order[from] !== undefined && markOf(state.order[from])) {
    choose(to);
    sheet.root.scrollTop = Math.floor(to / sheetGrid().across) * sheetGrid().step;
  }
}

let sheetDrawing = 0;
function drawSheetSoon() {
  if (!sheetDrawing) {
    sheetDrawing = requestAnimationFrame(() => {
      sheetDrawing = 0;
      drawSheet();
    });
  }
}

sheet.root.append(sheet.space, sheet.blank);
sheet.blank.textContent = "No photograph matches. Escape clears the search.";
sheet.root.addEventListener("scroll", drawSheetSoon, { passive: true });
new ResizeObserver(drawSheetSoon).observe(sheet.root);
