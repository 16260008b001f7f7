// A histogram, or one column over another, with the photograph behind each point; on a plain canvas,
// which draws 100 000 points faster than a reader notices.
"use strict";

const css = (name) => getComputedStyle(document.body).getPropertyValue(name).trim();

const MARGIN = { left: 54, right: 16, top: 14, bottom: 36 };

/** About `count` round numbers between two. */
function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((f) => f * power).find((s) => s >= rough);
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high + step * 1e-9; i++) found.push(i * step);
  return found;
}

/** Bounds of an axis. A few values far off would leave no room for all others: what lies more than three
 * times as far from the median as the 1st and 99th percentile is shown at the edge. */
function rangeOf(column) {
  const p = column.percentiles;
  const low = Math.max(p[0], p[50] - 3 * (p[50] - p[1]));
  const high = Math.min(p[100], p[50] + 3 * (p[99] - p[50]));
  const room = (high - low) * 0.03 || Math.abs(low) * 0.05 || 1;
  return [low - room, high + room];
}

/** A number 0…1 that belongs to a photograph, so that points lie beside each other and stay there. */
const scatterOf = (row) => ((Math.imul(row + 1, 2654435761) >>> 0) / 4294967296);

function fitCanvas(canvas) {
  const scale = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

/** Counts of values in equal bins between two numbers. */
function countBins(values, rows, [low, high], bins) {
  const counts = new Uint32Array(bins);
  const scale = bins / (high - low);
  for (let i = 0; i < rows.length; i++) {
    const value = values[rows[i]];
    if (value === value) counts[Math.min(bins - 1, Math.max(0, Math.floor((value - low) * scale)))]++;
  }
  return counts;
}

/** A small histogram without axes. */
function drawHistogram(canvas, column, rows) {
  const { context, width, height } = fitCanvas(canvas);
  if (!column.count) return;
  const range = rangeOf(column);
  const bins = Math.max(8, Math.floor(width / 4));
  const counts = countBins(column.values, rows, range, bins);
  // Roots keep single photographs in the tails visible beside thousands in the middle.
  const most = Math.sqrt(Math.max(1, ...counts));
  const step = width / bins;
  for (let i = 0; i < bins; i++) {
    if (!counts[i]) continue;
    const middle = range[0] + ((i + 0.5) / bins) * (range[1] - range[0]);
    const far = column.group === "biomarker" && Math.abs(deviationOf(column, middle)) > FAR;
    context.fillStyle = css(far ? "--level1" : "--accent");
    const high = Math.max(1.5, (Math.sqrt(counts[i]) / most) * (height - 1));
    context.fillRect(i * step, height - high, Math.max(1, step - 1), high);
  }
}

/** The large plot. `pick(row)`, `hover(row)` and `brush(low, high)` hear of the reader. */
class Plot {
  constructor(canvas, { pick, hover, brush }) {
    Object.assign(this, { canvas, pick, hover, brush, x: null, y: null, rows: [], hovered: -1, drag: null });
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerleave", () => this.#setHovered(-1));
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.drag = { from: event.offsetX, to: event.offsetX };
    });
    canvas.addEventListener("pointerup", () => this.#release());
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  /** `y`: null spreads the points out. */
  set(x, y, rows) {
    Object.assign(this, { x, y, rows });
    this.draw();
  }

  #layout() {
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight];
    const [low, high] = rangeOf(this.x);
    const span = width - MARGIN.left - MARGIN.right;
    const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
    const toX = (value) => MARGIN.left + ((clamp(value, low, high) - low) / (high - low)) * span;
    const fromX = (x) => low + ((x - MARGIN.left) / span) * (high - low);
    // Over a histogram the points get the lower third.
    const [top, bottom] = [this.y ? MARGIN.top : height * 0.62, height - MARGIN.bottom];
    const [yLow, yHigh] = this.y ? rangeOf(this.y) : [0, 1];
    const toY = (value) => bottom - ((clamp(value, yLow, yHigh) - yLow) / (yHigh - yLow)) * (bottom - top);
    return { width, height, low, high, toX, fromX, top, bottom, toY, yLow, yHigh };
  }

  #yOf(row) {
    return this.y ? this.y.values[row] : scatterOf(row);
  }

  draw() {
    if (!this.x?.count || !this.canvas.clientWidth) return;
    const { context } = fitCanvas(this.canvas);
    const l = this.#layout();
    this.#axes(context, l);
    if (!this.y) this.#bars(context, l);
    const size = this.rows.length > 20_000 ? 1.6 : this.rows.length > 2_000 ? 2.4 : 4;
    const colors = { "": css("--point"), keep: css("--keep"), exclude: css("--exclude"), "look again": css("--again"), far: css("--level1") };
    const [xs, top] = [this.x.values, []];
    context.globalAlpha = this.rows.length > 5_000 ? 0.45 : 0.8;
    context.fillStyle = colors[""];
    for (let i = 0; i < this.rows.length; i++) {
      const row = this.rows[i];
      const [x, y] = [xs[row], this.#yOf(row)];
      if (x !== x || y !== y) continue;
      if (markOf(row) || this.#isFar(row)) top.push(row);
      else context.fillRect(l.toX(x) - size / 2, l.toY(y) - size / 2, size, size);
    }
    context.globalAlpha = 1;
    const large = size + 1.5;
    for (const row of top) {
      context.fillStyle = colors[markOf(row) || "far"];
      context.fillRect(l.toX(xs[row]) - large / 2, l.toY(this.#yOf(row)) - large / 2, large, large);
    }
    for (const row of [chosen(), this.hovered]) this.#ring(context, l, row);
    if (this.drag) {
      context.fillStyle = css("--brush");
      context.fillRect(Math.min(this.drag.from, this.drag.to), MARGIN.top, Math.abs(this.drag.to - this.drag.from), l.bottom - MARGIN.top);
    }
  }

  #isFar(row) {
    if (!cohort.deviations[row]) return false;
    const far = (column) => column?.group === "biomarker" && Math.abs(deviationOf(column, column.values[row])) > FAR;
    return far(this.x) || far(this.y);
  }

  #axes(context, l) {
    context.font = "11px system-ui, sans-serif";
    context.fillStyle = css("--dim");
    context.strokeStyle = css("--line");
    context.lineWidth = 1;
    context.textAlign = "center";
    context.beginPath();
    for (const value of ticks(l.low, l.high, Math.max(2, l.width / 110))) {
      const x = Math.round(l.toX(value)) + 0.5;
      context.moveTo(x, MARGIN.top);
      context.lineTo(x, l.bottom);
      context.fillText(brief(Number(value.toPrecision(12))), x, l.bottom + 15);
    }
    context.textAlign = "right";
    for (const value of this.y ? ticks(l.yLow, l.yHigh, 5) : []) {
      const y = Math.round(l.toY(value)) + 0.5;
      context.moveTo(MARGIN.left, y);
      context.lineTo(l.width - MARGIN.right, y);
      context.fillText(brief(Number(value.toPrecision(12))), MARGIN.left - 6, y + 4);
    }
    context.stroke();
    context.textAlign = "center";
    context.fillText(this.x.title, (l.width + MARGIN.left - MARGIN.right) / 2, l.height - 5);
    const [below, above] = [this.rows.filter((row) => this.x.values[row] < l.low).length, this.rows.filter((row) => this.x.values[row] > l.high).length];
    context.textAlign = "left";
    if (below) context.fillText(`← ${show(below)} below`, MARGIN.left, l.height - 5);
    context.textAlign = "right";
    if (above) context.fillText(`${show(above)} above →`, l.width - MARGIN.right, l.height - 5);
    if (this.y) {
      context.save();
      context.translate(12, (l.top + l.bottom) / 2);
      context.rotate(-Math.PI / 2);
      context.fillText(this.y.title, 0, 0);
      context.restore();
    }
  }

  #bars(context, l) {
    const span = l.width - MARGIN.left - MARGIN.right;
    const bins = Math.max(10, Math.min(120, Math.floor(span / 7)));
    const counts = countBins(this.x.values, this.rows, [l.low, l.high], bins);
    const most = Math.max(1, ...counts);
    const [top, bottom] = [MARGIN.top, l.height * 0.58];
    const toY = (count) => bottom - (count / most) * (bottom - top);
    context.fillStyle = css("--accent");
    counts.forEach((count, i) => {
      if (count) context.fillRect(MARGIN.left + (i * span) / bins, toY(count), Math.max(1, span / bins - 1), Math.max(1, bottom - toY(count)));
    });
    context.fillStyle = css("--dim");
    context.textAlign = "right";
    for (const count of ticks(0, most, 3).filter(Number.isInteger)) context.fillText(show(count), MARGIN.left - 6, toY(count) + 4);
    // Median, and the limits beyond which a value is called an outlier.
    const mark = (value, dash) => {
      if (value < l.low || value > l.high) return;
      context.setLineDash(dash);
      context.strokeStyle = css("--text");
      context.beginPath();
      context.moveTo(l.toX(value), top);
      context.lineTo(l.toX(value), l.bottom);
      context.stroke();
      context.setLineDash([]);
    };
    mark(this.x.median, []);
    if (this.x.spread && this.x.group === "biomarker") {
      mark(this.x.median - FAR * this.x.spread[0], [4, 4]);
      mark(this.x.median + FAR * this.x.spread[1], [4, 4]);
    }
  }

  /** Where a photograph's point lies on the canvas; NaN without values. */
  placeOf(row, l = this.#layout()) {
    return [l.toX(this.x.values[row]), l.toY(this.#yOf(row))];
  }

  #ring(context, l, row) {
    const [x, y] = row < 0 ? [NaN, NaN] : this.placeOf(row, l);
    if (Number.isNaN(x + y)) return;
    for (const [width, color] of [[5, css("--ground")], [2, css("--text")]]) {
      context.lineWidth = width;
      context.strokeStyle = color;
      context.beginPath();
      context.arc(x, y, 7, 0, 2 * Math.PI);
      context.stroke();
    }
  }

  /** The photograph whose point lies nearest to a place, if any is near. */
  nearest(px, py) {
    const l = this.#layout();
    let [best, least] = [-1, 15 ** 2];
    for (let i = 0; i < this.rows.length; i++) {
      const row = this.rows[i];
      const dx = l.toX(this.x.values[row]) - px;
      if (!(dx * dx < least)) continue;
      const dy = l.toY(this.#yOf(row)) - py;
      const distance = dx * dx + dy * dy;
      if (distance < least) [best, least] = [row, distance];
    }
    return best;
  }

  #move(event) {
    if (!this.x?.count) return;
    if (this.drag) {
      this.drag.to = event.offsetX;
      this.draw();
    } else this.#setHovered(this.nearest(event.offsetX, event.offsetY), event);
  }

  #setHovered(row, event) {
    if (row === this.hovered) return;
    this.hovered = row;
    this.draw();
    this.hover(row, event);
  }

  #release() {
    const drag = this.drag;
    this.drag = null;
    if (!drag || !this.x?.count) return;
    if (Math.abs(drag.to - drag.from) > 5) {
      const { fromX } = this.#layout();
      this.brush(...[drag.from, drag.to].sort((a, b) => a - b).map(fromX));
    } else if (this.hovered >= 0) this.pick(this.hovered);
    this.draw();
  }
}
