// Distributions of all columns as small histograms, and one of them large.
"use strict";

const plots = { root: byId("plots"), x: null, y: null, cards: [], plot: null };

function makePlots() {
  plots.title = make("h2");
  plots.facts = make("p.where");
  plots.over = make("select", { "aria-label": "Vertical axis" });
  plots.over.addEventListener("change", () => showDistribution(plots.x, cohort.byName.get(plots.over.value) ?? null));
  const canvas = make("canvas.plot", { tabIndex: 0, role: "img" });
  plots.canvas = canvas;
  plots.card = make("div.hover", { hidden: true }, makeSmall(), make("p"));
  plots.plot = new Plot(canvas, {
    pick: (row) => choosePhotograph(row),
    hover: hoverPoint,
    brush: (low, high) => {
      // The edges stand for everything beyond them.
      const { name } = plots.x;
      const [from, to] = rangeOf(plots.x);
      const parts = [withoutColumn(name), low > from ? `${name}>=${short(low)}` : "", high < to ? `${name}<=${short(high)}` : ""];
      setQuery(parts.filter(Boolean).join(" "));
    },
  });
  canvas.addEventListener("dblclick", () => chosen() >= 0 && showView("eye"));
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    stepAlong(step);
  });
  plots.find = make("input", { type: "search", placeholder: "Find a biomarker", "aria-label": "Find a biomarker" });
  plots.find.addEventListener("input", () => filterCards());
  plots.grid = make("div.cards");
  plots.root.append(
    make("div.head", {}, make("div", {}, plots.title, plots.facts), make("span.space"), make("label", {}, "Over ", plots.over)),
    make("div.large", {}, canvas, plots.card),
    make("p.hint", {}, "Each point is a photograph: click chooses it, a double click opens it, dragging filters. Arrow keys walk from value to value."),
    plots.find,
    plots.grid,
  );
}

const short = (value) => Number(value.toPrecision(5));

/** The query without comparisons of a column. */
const withoutColumn = (name) =>
  words(byId("query").value).filter((word) => !word.toLowerCase().match(/^([^<>=!]+)[<>=!]/)?.[1]?.startsWith(name.toLowerCase())).join(" ");

function fillPlots() {
  plots.over.append(make("option", { value: "" }, "nothing: spread out"));
  const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      target.onScreen = isIntersecting;
      if (isIntersecting) drawCard(target);
    }
  });
  for (const group of Object.keys(GROUPS)) {
    for (const column of cohort.columns.filter((one) => one.group === group && one.count)) {
      plots.over.append(make("option", { value: column.name.toLowerCase() }, column.title));
      const card = make("button.card", { title: `${column.name}\n${column.description}` }, make("span.title", {}, column.title), make("canvas"), make("span.facts"));
      card.column = column;
      card.addEventListener("click", () => showDistribution(column));
      plots.cards.push(card);
      plots.grid.append(card);
      watcher.observe(card);
    }
  }
  plots.find.hidden = plots.cards.length < 9;
}

function filterCards() {
  const wanted = plots.find.value.trim().toLowerCase();
  for (const card of plots.cards) card.hidden = !`${card.column.name} ${card.column.title}`.toLowerCase().includes(wanted);
}

function drawCard(card) {
  const { column } = card;
  drawHistogram(card.querySelector("canvas"), column, state.order);
  const [low, high] = [column.percentiles[5], column.percentiles[95]];
  card.querySelector(".facts").textContent = `${show(column.median)}  (5–95 %: ${show(low, 3)} – ${show(high, 3)})`;
  card.classList.toggle("chosen", column === plots.x);
}

/** Shows a column large, over another or over nothing. */
function showDistribution(column, over = plots.y) {
  if (!column?.count) return say("No photograph has a value");
  plots.x = column;
  plots.y = over === column ? null : over;
  plots.over.value = plots.y?.name.toLowerCase() ?? "";
  if (state.view !== "plots") showView("plots");
  else drawPlots();
  plots.root.scrollTop = 0;
}

function drawPlots() {
  if (state.view !== "plots" || !plots.cards.length) return;
  plots.x ??= (plots.cards.find((card) => card.column.group === "biomarker") ?? plots.cards[0]).column;
  const { x, y } = plots;
  plots.title.textContent = y ? `${x.title} and ${y.title}` : x.title;
  let [count, far] = [0, 0];
  for (const row of state.order) {
    const value = x.values[row];
    if (value !== value) continue;
    count++;
    if (x.group === "biomarker" && Math.abs(deviationOf(x, value)) > FAR) far++;
  }
  const undefinedCount = state.order.length - count;
  plots.facts.textContent = [
    x.name,
    `${show(count)} values`,
    undefinedCount ? `${show(undefinedCount)} undefined` : "",
    `median ${show(x.median)}`,
    far ? `${show(far)} outliers (beyond the dashed lines: ${FAR} robust SD)` : "",
  ].filter(Boolean).join(" · ");
  plots.canvas.setAttribute("aria-label", `${plots.title.textContent}: ${plots.facts.textContent}`);
  plots.plot.set(x, y, state.order);
  for (const card of plots.cards) if (card.onScreen) drawCard(card);
}

function hoverPoint(row, event) {
  plots.card.hidden = row < 0;
  if (row < 0) return;
  const [small, text] = plots.card.children;
  drawSmall(small, row);
  const value = (column) => `${column.title} ${show(column.values[row])}`;
  text.textContent = [cohort.ids[row], value(plots.x), plots.y ? value(plots.y) : "", markOf(row)].filter(Boolean).join("\n");
  const box = plots.canvas.getBoundingClientRect();
  const left = event.offsetX + 220 > box.width ? event.offsetX - 200 : event.offsetX + 18;
  plots.card.style.left = `${left}px`;
  plots.card.style.top = `${Math.max(0, Math.min(event.offsetY - 60, box.height - 230))}px`;
}

/** Chooses the photograph with the next larger or smaller value. */
function stepAlong(step) {
  const { values } = plots.x;
  const sorted = [...state.order].filter((row) => values[row] === values[row]).sort((a, b) => values[a] - values[b]);
  const place = Math.max(0, Math.min(sorted.length - 1, sorted.indexOf(chosen()) + step));
  if (sorted.length) choosePhotograph(sorted[place]);
}
