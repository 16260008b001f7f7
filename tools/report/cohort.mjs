// Makes a cohort up: a folder of results as `run-models` and `calc-biomarkers` write it, with synthetic
// photographs, for the report's tests and measurements.
//
//     node tools/report/cohort.mjs OUT --rows 6|10000|100000 [--side 1024] [--pictures 12] [--seed 1]
//
// A few different photographs (--pictures) are drawn and linked under all ids. Every row differs in numbers.

import { deflateSync } from "node:zlib";
import { existsSync, linkSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const NAMES = ["temporal_angle", "bifangle", "md_diam", "lw_diam", "temporal_cre", "nasal_cre", "full_cre", "md_tort_dist", "md_tort_curv", "lw_tort_dist", "lw_tort_curv", "vd_elps_full", "vd_disc_full", "vd_etdrs_full", "vd_hf_superior", "vd_hf_inferior"];
const CENTRES = { temporal_angle: 135, bifangle: 80, md_diam: 4, lw_diam: 5, temporal_cre: 12, nasal_cre: 12, full_cre: 15, md_tort_dist: 0.01, md_tort_curv: 4, lw_tort_dist: 0.02, lw_tort_curv: 4 };
const FIELDS = ["", "_hf_superior", "_hf_inferior"];

/** Numbers 0…1 that are the same in every run. */
function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const normal = (next) => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());

/** A PNG of 8 bits per channel. */
export function png(width, height, channels, pixels) {
  const crcTable = png.table ??= Uint32Array.from({ length: 256 }, (_, n) => {
    for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
    return n;
  });
  const chunk = (name, data) => {
    const bytes = Buffer.alloc(data.length + 12);
    bytes.writeUInt32BE(data.length);
    bytes.write(name, 4, "latin1");
    data.copy(bytes, 8);
    let crc = 0xffffffff;
    for (const byte of bytes.subarray(4, -4)) crc = crcTable[(crc ^ byte) & 255] ^ (crc >>> 8);
    bytes.writeUInt32BE((crc ^ 0xffffffff) >>> 0, data.length + 8);
    return bytes;
  };
  const header = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 8, channels === 3 ? 2 : 0, 0, 0, 0]);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  const rows = Buffer.alloc(height * (width * channels + 1));
  for (let y = 0; y < height; y++) rows.set(pixels.subarray(y * width * channels, (y + 1) * width * channels), y * (width * channels + 1) + 1);
  return Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), chunk("IHDR", header), chunk("IDAT", deflateSync(rows, { level: 6 })), chunk("IEND", Buffer.alloc(0))]);
}

/** A photograph with its maps: a circle of orange retina, a disc, and vessels that leave it in arcs. */
export function draw(side, seed) {
  const next = random(seed);
  const isRight = next() < 0.5;
  const unit = side / 1024;
  const disc = [isRight ? 800 : 224, 500 + 40 * normal(next), 62 + 8 * next()].map((v) => v * unit);
  const fovea = [(isRight ? 430 : 594) * unit + 12 * unit * normal(next), disc[1] + 25 * unit];
  const tone = [0.75 + 0.2 * next(), 0.36 + 0.1 * next(), 0.16 + 0.08 * next()];
  const [vesselPair, vessels, discMap] = [0, 0, 0].map(() => new Uint8Array(side * side));
  const dark = new Float32Array(side * side);
  const stroke = (x, y, direction, width, length, kind, depth) => {
    const bend = (next() - 0.5) * 0.004;
    for (let s = 0; s < length; s += 0.5) {
      direction += bend + 0.02 * normal(next);
      x += 0.5 * unit * Math.cos(direction);
      y += 0.5 * unit * Math.sin(direction);
      const r = (width * unit * (1 - (0.5 * s) / length)) / 2;
      for (let dy = -Math.ceil(r); dy <= r; dy++) {
        for (let dx = -Math.ceil(r); dx <= r; dx++) {
          const [px, py] = [Math.round(x + dx), Math.round(y + dy)];
          if (dx * dx + dy * dy > r * r || px < 0 || py < 0 || px >= side || py >= side) continue;
          if (Math.hypot(px - side / 2, py - side / 2) > side * 0.497) continue;
          const place = py * side + px;
          vesselPair[place] |= kind;
          vessels[place] = 1;
          dark[place] = Math.max(dark[place], kind === 2 ? 0.42 : 0.3);
        }
      }
      if (depth && next() < 0.0035) stroke(x, y, direction + (next() < 0.5 ? -1 : 1) * (0.5 + 0.5 * next()), width * 0.65, length * 0.55, kind, depth - 1);
    }
  };
  const temporal = isRight ? Math.PI : 0;
  for (const [turn, kind] of [[-0.95, 1], [-0.8, 2], [0.85, 1], [1.0, 2], [-2.3, 1], [-2.1, 2], [2.2, 1], [2.4, 2]]) {
    const direction = isRight ? temporal - turn : temporal + turn;
    stroke(disc[0], disc[1], direction, kind === 1 ? 8 + 2 * next() : 11 + 2 * next(), 620, kind, 2);
  }
  const photo = new Uint8Array(side * side * 3);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const place = y * side + x;
      const radius = Math.hypot(x - side / 2, y - side / 2) / (side / 2);
      if (radius > 0.995) continue;
      const toDisc = Math.hypot(x - disc[0], y - disc[1]) / disc[2];
      const toFovea = Math.hypot(x - fovea[0], y - fovea[1]) / (90 * unit);
      if (toDisc < 1) discMap[place] = 1;
      const light = (1 - 0.35 * radius ** 2) * (1 - 0.35 * Math.exp(-toFovea * toFovea)) * (1 - dark[place]) + 0.01 * normal(next);
      const bright = 1 / (1 + Math.exp((toDisc - 1) * 14));
      tone.forEach((value, channel) => {
        const yellow = [1, 0.86, 0.6][channel];
        photo[3 * place + channel] = Math.max(0, Math.min(255, 255 * light * (value + (yellow - value) * 0.8 * bright)));
      });
    }
  }
  return { photo, vesselPair, vessels, discMap, fovea };
}

const cell = (value) => (/[",\n\r]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value));

export function writeCsv(path, header, rows) {
  const lines = [header, ...rows].map((row) => row.map(cell).join(","));
  writeFileSync(path, lines.join("\n") + "\n");
}

/** Writes the cohort into an empty folder. `ids` may be given; then they decide how many rows there are. */
export function writeCohort(out, { rows = 6, side = 1024, pictures = 6, seed = 1, ids = null } = {}) {
  const hasFaults = !ids && rows > 5;
  ids ??= Array.from({ length: rows }, (_, i) => `eye_${String(i + 1).padStart(6, "0")}`);
  const next = random(seed);
  const folders = ["preprocessed_rgb", "artery_vein", "vessels", "disc"];
  for (const folder of folders) mkdirSync(join(out, folder), { recursive: true });
  const drawn = [];
  const state = ids.map(() => next());
  const isFailed = (i) => hasFaults && state[i] < 0.004;
  const put = (folder, id, bytes, first) => {
    const path = join(out, folder, `${id}.png`);
    // A file takes a limited number of links.
    if (first && first.links < 20_000 && existsSync(first.path)) linkSync(first.path, path), first.links++;
    else writeFileSync(path, bytes);
    return first && first.links < 20_000 ? first : { path, links: 0 };
  };
  const foveas = ids.map((id, i) => {
    if (isFailed(i)) return null;
    const number = i % pictures;
    const picture = (drawn[number] ??= (() => {
      const { photo, vesselPair, vessels, discMap, fovea } = draw(side, seed * 1000 + number);
      const bytes = [png(side, side, 3, photo), png(side, side, 1, vesselPair), png(side, side, 1, vessels), png(side, side, 1, discMap)];
      return { bytes, fovea, first: [] };
    })());
    folders.forEach((folder, f) => (picture.first[f] = put(folder, id, picture.bytes[f], picture.first[f])));
    return picture.fovea;
  });
  const withoutField = (i) => hasFaults && state[i] > 0.994;
  const bounds = (i) => (withoutField(i) ? "{}" : `{'hw': (1536, 2048), 'center': (np.float64(1024.5), 768.25), 'radius': np.float64(800.0), 'lines': {'top': ((0.0, 20.0), (2048.0, 22.0)), 'bottom': ((0.0, 1500.0), (2048.0, 1502.5))}}`);
  const done = ids.map((id, i) => i).filter((i) => !isFailed(i));
  writeCsv(join(out, "manifest.csv"), ["id", "path", "status", "error", "seconds", "width", "height", "field_of_view"], ids.map((id, i) => [id, `/data/photographs/${id}.jpg`, isFailed(i) ? "failed" : "ok", isFailed(i) ? `${id}.jpg: the file ends before its picture does` : "", "0.310", isFailed(i) ? "" : 2048, isFailed(i) ? "" : 1536, isFailed(i) ? "" : withoutField(i) ? "not_found" : "circle_and_lines"]));
  writeCsv(join(out, "bounds.csv"), ["id", "success", "bounds"], done.map((i) => [ids[i], withoutField(i) ? "False" : "True", bounds(i)]));
  writeCsv(join(out, "fovea.csv"), ["", "x_fovea", "y_fovea"], done.map((i) => [ids[i], ...foveas[i].map((v) => v.toFixed(2))]));
  writeCsv(join(out, "quality.csv"), ["", "q1", "q2", "q3", "p1", "p2", "p3"], done.map((i) => {
    const logits = [1.5 + normal(next), normal(next), -1 + normal(next)];
    const sum = logits.reduce((all, q) => all + Math.exp(q), 0);
    return [ids[i], ...logits.map((q) => q.toFixed(4)), ...logits.map((q) => (Math.exp(q) / sum).toFixed(5))];
  }));
  writeCsv(join(out, "summary.csv"), ["id", "fovea_peak", "disc_pixels", "plausible"], done.map((i) => {
    const isOdd = hasFaults && !withoutField(i) && state[i] > 0.988;
    return [ids[i], (3 + normal(next)).toFixed(3), Math.round(12_000 + 1500 * normal(next)), isOdd ? "no: disc in 3 pieces" : "yes"];
  }));
  const columns = NAMES.flatMap((name) => (name.startsWith("vd_") ? [""] : FIELDS).flatMap((field) => ["arteries", "veins"].map((layer) => ({ name: `${name}${field}_${layer}`, root: name, layer })))).concat([{ name: "disc_fovea_distance", root: "distance" }]);
  const titles = columns.map(({ name }) => [name, name.replaceAll("_", " ").replace(/^./, (c) => c.toUpperCase()), `Made up: ${name}.`]);
  const reasons = [];
  const values = done.map((i) => {
    const person = normal(next);
    return [ids[i], ...columns.map(({ name, root, layer }) => {
      if (next() < 0.03) {
        reasons.push([ids[i], name, next() < 0.5 ? "less than 95 % of the field is visible" : "fewer than 5 segments"]);
        return "";
      }
      const spread = 0.12 * (0.6 * person + 0.8 * normal(next)) + (next() < 0.0004 ? (root.includes("tort_dist") ? 0.7 : 2.2) : 0);
      if (root.includes("tort_dist")) return (1 + CENTRES[root] * Math.exp(4 * spread)).toFixed(9);
      const centre = root === "distance" ? 380 : (CENTRES[root] ?? 0.05);
      return (centre * (layer === "veins" ? 1.25 : 1) * Math.max(0.1, 1 + spread)).toPrecision(12);
    })];
  });
  writeCsv(join(out, "biomarkers.csv"), ["id", ...columns.map((c) => c.name)], values);
  writeCsv(join(out, "data_dictionary.csv"), ["variable", "display_name", "description"], titles);
  writeCsv(join(out, "reasons.csv"), ["id", "variable", "reason"], reasons);
  return ids;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [out, ...rest] = process.argv.slice(2);
  const options = Object.fromEntries(Array.from({ length: rest.length / 2 }, (_, i) => [rest[2 * i].replace(/^--/, ""), Number(rest[2 * i + 1])]));
  if (!out || out.startsWith("--") || existsSync(out)) {
    console.error("usage: node tools/report/cohort.mjs OUT [--rows N] [--side S] [--pictures P] [--seed N]; OUT must not exist yet");
    process.exit(2);
  }
  writeCohort(out, options);
  console.log(out);
}
