// The report in a browser: `node --test tests/report/`. Needs Chromium and a built `vascx` ($VASCX, else
// target/debug/vascx); skips, saying so, without either.

import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

import { Browser, findChromium } from "./browser.mjs";
import { draw, png, writeCohort, writeCsv } from "../../tools/report/cohort.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const vascx = process.env.VASCX ?? resolve(root, process.env.CARGO_TARGET_DIR ?? "target", "debug/vascx");
const missing = !findChromium() ? "Chromium is not installed (Debian: chromium)" : !existsSync(vascx) ? `${vascx} is not built` : false;
if (missing) console.log(`skipped: ${missing}`);
const check = (name, act) => test(name, { skip: missing }, act);

const folder = mkdtempSync(join(tmpdir(), "report-test-"));
let browser;

before(async () => {
  if (!missing) browser = await Browser.start();
});
after(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true, force: true });
});

const report = (out) => execFileSync(vascx, ["report", out], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

async function open(out, hash = "") {
  const page = await browser.open(pathToFileURL(join(out, "report.html")).href + hash);
  await page.until("document.body?.dataset.loaded === 'all'");
  return page;
}

/** Nothing went wrong in a page, and it asked the network for nothing. */
async function close(page, { but = /^$/ } = {}) {
  assert.deepEqual(page.problems.filter((problem) => !but.test(problem)), []);
  assert.deepEqual(await page.evaluate("window.violations ?? []"), []);
  await page.close();
}

const shown = (page) => page.evaluate("[...state.order].map((row) => cohort.ids[row])");

/** A cohort of 400 made-up photographs, small ones, once for all tests. */
const cohort = (() => {
  let out = null;
  return () => {
    if (!out) {
      out = join(folder, "cohort");
      writeCohort(out, { rows: 400, side: 128, pictures: 3, seed: 7 });
      report(out);
    }
    return out;
  };
})();

/** A table of the cohort, by id. */
function table(name) {
  const [header, ...rows] = readFileSync(join(cohort(), name), "utf8").trim().split("\n").map((line) => line.split(/,(?=(?:[^"]*"[^"]*")*[^"]*$)/));
  return new Map(rows.map((row) => [row[0], Object.fromEntries(header.map((column, i) => [column, row[i]]))]));
}

check("failures come first, then doubtful fields, then outliers, then the rest by id", async () => {
  const page = await open(cohort());
  const [ids, manifest, bounds, summary] = [await shown(page), table("manifest.csv"), table("bounds.csv"), table("summary.csv")];
  const level = (id) => {
    if (manifest.get(id).status === "failed") return 3;
    if (bounds.get(id).success === "False" || summary.get(id).plausible !== "yes") return 2;
    return 0;
  };
  const levels = ids.map(level);
  assert.equal(ids.length, 400);
  assert.ok(levels[0] === 3 && levels.includes(2));
  assert.deepEqual(levels, [...levels].sort((a, b) => b - a));
  const clear = await page.evaluate("[...state.order].filter((row) => !cohort.findings[row]).map((row) => cohort.ids[row])");
  assert.ok(clear.length > 100);
  assert.deepEqual(clear, [...clear].sort());
  assert.deepEqual(ids.slice(-clear.length), clear);
  assert.match(await page.evaluate("document.querySelector('.findings').textContent"), /the file ends before its picture does/);
  await close(page);
});

check("searches and sorts find what the tables say", async () => {
  const page = await open(cohort());
  const query = async (text) => {
    await page.evaluate(`setQuery(${JSON.stringify(text)})`);
    return (await shown(page)).sort();
  };
  const [quality, biomarkers, bounds] = [table("quality.csv"), table("biomarkers.csv"), table("bounds.csv")];
  const where = (rows, holds) => [...rows].filter(([, row]) => holds(row)).map(([id]) => id).sort();
  assert.deepEqual(await query("p3>0.3"), where(quality, (row) => Number(row.p3) > 0.3));
  assert.deepEqual(await query("flag:field"), where(bounds, (row) => row.success === "False"));
  assert.deepEqual(await query("undefined:md_diam_veins -flag:failed"), where(biomarkers, (row) => row.md_diam_veins === ""));
  assert.deepEqual(await query("EYE_00039 -5"), ["eye_000390", "eye_000391", "eye_000392", "eye_000393", "eye_000394", "eye_000396", "eye_000397", "eye_000398", "eye_000399"]);
  assert.deepEqual(await query("p3>0.3 p3<=0.4"), where(quality, (row) => row.p3 > 0.3 && row.p3 <= 0.4));
  for (const [text, part] of [["nothing>1", "no column “nothing”"], ["flag:odd", "no flag “odd”"], ["mark:odd", "no mark “odd”"]]) {
    await page.evaluate(`setQuery(${JSON.stringify(text)})`);
    assert.ok((await page.evaluate("byId('query-problem').textContent")).includes(part), text);
  }
  await page.evaluate("setQuery(''); byId('sort').value = 'temporal_cre_veins'; byId('sort').dispatchEvent(new Event('change'))");
  const values = (await shown(page)).map((id) => Number(biomarkers.get(id)?.temporal_cre_veins || Infinity));
  assert.ok(values.every((value, i) => i === 0 || values[i - 1] <= value * (1 + 1e-6)));
  await page.press("r");
  const reversed = (await shown(page)).map((id) => Number(biomarkers.get(id)?.temporal_cre_veins || -Infinity));
  assert.ok(reversed.every((value, i) => i === 0 || reversed[i - 1] >= value * (1 - 1e-6)));
  assert.ok(reversed[0] > 0, "undefined values stay at the end");
  await close(page);
});

check("outliers are those beyond five robust deviations, and say so", async () => {
  const page = await open(cohort(), "#q=flag:outlier");
  const biomarkers = table("biomarkers.csv");
  const names = Object.keys([...biomarkers.values()][0]).slice(1);
  const quantile = (sorted, share) => {
    const place = share * (sorted.length - 1);
    const below = Math.floor(place);
    return sorted[below] + (place - below) * ((sorted[below + 1] ?? sorted[below]) - sorted[below]);
  };
  const far = new Set();
  for (const name of names) {
    const all = [...biomarkers].filter(([, row]) => row[name] !== "").map(([id, row]) => [id, Number(row[name])]);
    const sorted = all.map(([, value]) => value).sort((a, b) => a - b);
    const [low, middle, high] = [0.25, 0.5, 0.75].map((share) => quantile(sorted, share));
    for (const [id, value] of all) {
      const spread = (value < middle ? middle - low : high - middle) / 0.6744897501960817;
      if (Math.abs(value - middle) > 5 * spread) far.add(id);
    }
  }
  assert.ok(far.size > 3);
  assert.deepEqual((await shown(page)).sort(), [...far].sort());
  await page.press("End");
  assert.match(await page.evaluate("document.querySelector('.findings').textContent"), /robust SD (above|below) the median [\d.]+ of \d+/);
  await close(page);
});

check("decisions: keys, going on, notes, taking back, a reload, export and import", async () => {
  const page = await open(cohort(), "#q=flag:none");
  const ids = await shown(page);
  await page.press("Home");
  for (const key of ["k", "x", "l"]) await page.press(key);
  assert.equal(await page.evaluate("state.place"), 3);
  await page.press("x");
  await page.press("u");
  assert.equal(await page.evaluate("cohort.ids[chosen()]"), ids[3]);
  await page.press("ArrowLeft");
  await page.press("n");
  await page.type('blurred, "twice"; =1+1 <b>');
  await page.press("Enter");
  const wanted = `id,mark,note\r\n${ids[0]},keep,\r\n${ids[1]},exclude,\r\n${ids[2]},look again,"blurred, ""twice""; =1+1 <b>"\r\n`;
  assert.equal(await page.evaluate("marksAsCsv()"), wanted);
  await page.send("Page.reload");
  await page.until("!document.body?.dataset.loaded").catch(() => {});
  await page.until("document.body?.dataset.loaded === 'all'");
  assert.equal(await page.evaluate("marksAsCsv()"), wanted);
  assert.equal(await page.evaluate("cohort.ids[chosen()]"), ids[2], "the place is remembered");

  await browser.send("Browser.setDownloadBehavior", { behavior: "allow", downloadPath: folder });
  await page.press("e");
  const file = () => readdirSync(folder).find((name) => /^marks-cohort-\d{4}-\d\d-\d\d\.csv$/.test(name));
  for (let i = 0; i < 200 && !file(); i++) await new Promise((done) => setTimeout(done, 25));
  assert.equal(readFileSync(join(folder, file()), "utf8"), wanted);

  for (const id of ids.slice(0, 3)) await page.evaluate(`store(${JSON.stringify(id)}, null)`);
  assert.equal(await page.evaluate("marksAsCsv()"), "id,mark,note\r\n");
  await page.evaluate(`importMarks(${JSON.stringify(wanted)})`);
  assert.equal(await page.evaluate("marksAsCsv()"), wanted);
  await page.evaluate("importMarks('id;mark\\nx;odd\\n')");
  assert.match(await page.evaluate("byId('said').textContent"), /“odd” is no mark/);
  assert.equal(await page.evaluate("marksAsCsv()"), wanted);
  await page.press("u");
  assert.equal(await page.evaluate("marksAsCsv()"), "id,mark,note\r\n");
  await close(page);
});

check("a screen is kept at one stroke, and a filter goes on by itself", async () => {
  const page = await open(cohort(), "#q=mark:none+flag:none");
  const before = await page.evaluate("state.order.length");
  await page.press("K");
  const kept = await page.evaluate("marks.counts.keep");
  assert.ok(kept > 10 && kept < before);
  assert.equal(await page.evaluate("state.order.length"), before - kept);
  await page.press("K");
  assert.ok((await page.evaluate("marks.counts.keep")) > kept);
  await page.press("u");
  await page.press("u");
  assert.equal(await page.evaluate("marks.counts.keep"), 0);
  await page.press("Enter");
  const [first, second] = (await shown(page)).slice(0, 2);
  await page.press("Home");
  assert.equal(await page.evaluate("cohort.ids[chosen()]"), first);
  await page.press("x");
  assert.equal(await page.evaluate("cohort.ids[chosen()]"), second);
  await page.press("u");
  await close(page);
});

/** Pixels of the screen, decoded by a page of its own. */
async function pixels(page) {
  const shot = (await page.screenshot()).toString("base64");
  const other = await browser.open("about:blank");
  await other.evaluate(`(async () => {
    const image = new Image();
    image.src = "data:image/png;base64,${shot}";
    await image.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.width, image.height];
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    window.at = (x, y) => [...context.getImageData(x, y, 1, 1).data.subarray(0, 3)];
  })()`);
  const at = (points) => other.evaluate(`${JSON.stringify(points)}.map(([x, y]) => at(x, y))`);
  return { at, close: () => other.close() };
}

check("layers lie where the maps say, in their colours, and can be switched", async () => {
  const out = join(folder, "layers");
  const side = 256;
  writeCohort(out, { ids: ["eye"], side, seed: 3 });
  report(out);
  const { vesselPair, discMap } = draw(side, 3000);
  const page = await open(out, "#view=eye");
  await page.evaluate("setFill(1); setOutline(false)");
  for (const name of ["fovea", "field", "disc"]) await page.evaluate(`switchLayer("${name}")`);
  const [left, top, size] = await page.evaluate("(() => { const b = eye.picture.getBoundingClientRect(); return [b.x, b.y, b.width]; })()");
  // Points in the middle of pixels whose neighbours are of the same class.
  const inner = (map, value) => {
    const found = [];
    for (let i = side + 1; i < side * side - side - 1 && found.length < 400; i++) {
      const near = [0, -1, 1, -side, side].map((step) => map[i + step]);
      if (near.every((class_) => class_ === value)) found.push([Math.round(left + ((i % side) + 0.5) * (size / side)), Math.round(top + (Math.floor(i / side) + 0.5) * (size / side))]);
    }
    assert.ok(found.length > 30, `${found.length} points of class ${value}`);
    return found;
  };
  const isRed = ([r, g, b]) => r === 255 && Math.abs(g - 51) < 3 && Math.abs(b - 92) < 3;
  const isBlue = ([r, g, b]) => Math.abs(r - 51) < 3 && Math.abs(g - 168) < 3 && b === 255;
  const isYellow = ([r, g, b]) => r === 255 && Math.abs(g - 237) < 3 && Math.abs(b - 102) < 3;
  const share = (colors, test) => colors.filter(test).length / colors.length;
  let screen = await pixels(page);
  const [arteries, veins, background, disc] = [inner(vesselPair, 1), inner(vesselPair, 2), inner(vesselPair, 0), inner(discMap, 1)];
  assert.equal(share(await screen.at(arteries), isRed), 1);
  assert.equal(share(await screen.at(veins), isBlue), 1);
  assert.equal(share(await screen.at(background), (color) => isRed(color) || isBlue(color)), 0);
  await screen.close();
  await page.press("1");
  screen = await pixels(page);
  assert.equal(share(await screen.at(arteries), isRed), 0);
  // Where a vein ends, its class must not pass through that of an artery.
  assert.equal(share(await screen.at(veins), isBlue), 1);
  await screen.close();
  await page.press("2");
  await page.press("3");
  screen = await pixels(page);
  assert.equal(share(await screen.at(veins), isBlue), 0);
  assert.equal(share(await screen.at(disc), isYellow), 1);
  await screen.close();
  await page.press(" ", { up: false });
  screen = await pixels(page);
  assert.equal(share(await screen.at(disc), isYellow), 0, "the space bar shows the bare photograph");
  await screen.close();
  await page.release(" ");
  await page.press("Escape");
  assert.equal(await page.evaluate("state.view"), "sheet");
  const [tile, small] = await page.evaluate("(() => { const t = document.querySelector('.tile .small'); const b = t.getBoundingClientRect(); return [[b.x, b.y, b.width], [...t.querySelectorAll('img')].map((i) => i.naturalWidth)]; })()");
  assert.deepEqual(small, [256, 256]);
  assert.ok(tile[2] > 80);
  await close(page);
});

check("the drawn field of view and fovea are those of the tables", async () => {
  const page = await open(cohort(), "#q=flag:none");
  await page.press("Home");
  const [id, cut, fovea] = await page.evaluate("[cohort.ids[chosen()], [...cohort.cuts.subarray(4 * chosen(), 4 * chosen() + 4)], [...cohort.foveas.subarray(2 * chosen(), 2 * chosen() + 2)]]");
  const row = table("fovea.csv").get(id);
  assert.ok(Math.abs(fovea[0] - row.x_fovea * 8) < 0.01 && Math.abs(fovea[1] - row.y_fovea * 8) < 0.01, "1024 / 128 pixels");
  // (20 … 22 − 768.25) / 800 · 512 + 512 and (1500 … 1502.5 − 768.25) / 800 · 512 + 512, in whole pixels
  assert.ok(cut[0] === 0 && cut[2] === 1024);
  assert.ok(cut[1] >= 33 && cut[1] <= 35 && cut[3] >= 980 && cut[3] <= 983, `${cut}`);
  await close(page);
});

check("what stands in file names and tables never becomes markup, script or another address", async () => {
  const out = join(folder, "attack");
  const attacks = [
    `<img src=x onerror=window.owned=1>`,
    `"><svg onload=window.owned=1>`,
    `'-alert(1)-'`,
    `<script>window.owned=1<`,
    `javascript:window.owned=1`,
    `\u2028window.owned=1;`,
    "%2e%2e%2f", "a#b?c=d&e", "spaced  name", "ü…漢字", "__proto__", "constructor", "`${window.owned=1}`", "=cmd|' '!A1", "a\\b",
  ];
  writeCohort(out, { ids: attacks, side: 64, pictures: 1 });
  const evil = "</script><script>window.owned=1</script><img src=x onerror=window.owned=1>";
  writeCsv(join(out, "manifest.csv"), ["id", "path", "status", "error", "warning"], [...attacks.map((id) => [id, "//example.org/share/x.png", "ok", "", evil]), ["../../outside", `file://example.org/${evil}`, "failed", evil, ""], ["..", "/x/..", "ok", "", ""], ["\\\\host", "\\\\example.org\\share\\x.png", "failed", evil, ""]]);
  writeCsv(join(out, "biomarkers.csv"), ["id", evil, "__proto__"], attacks.map((id, i) => [id, i, evil]));
  writeCsv(join(out, "data_dictionary.csv"), ["variable", "display_name", "description"], [[evil, evil, evil]]);
  writeCsv(join(out, "reasons.csv"), ["id", "variable", "reason"], [[attacks[0], "__proto__", evil]]);
  const evilOut = join(folder, "<b>onload=&quot;x");
  renameSync(out, evilOut);
  report(evilOut);
  const page = await open(evilOut);
  const ids = await shown(page);
  assert.deepEqual([...ids].sort(), [...attacks, "../../outside", "..", "\\\\host"].sort());
  for (const view of ["sheet", "plots", "eye"]) {
    await page.evaluate(`showView("${view}")`);
    for (const id of ids) {
      await page.evaluate(`choosePhotograph(cohort.ids.indexOf(${JSON.stringify(id)}))`);
      assert.equal(await page.evaluate("document.querySelector('#panel h2').textContent"), id);
      if (view !== "eye" || !attacks.includes(id)) continue;
      await page.evaluate("eye.images.photo.decode()");
      assert.equal(await page.evaluate("eye.images.photo.naturalWidth"), 64, `the crop of ${id}`);
      const address = await page.evaluate("eye.images.photo.src");
      assert.ok(address.startsWith(pathToFileURL(join(evilOut, "preprocessed_rgb/")).href), address);
    }
    await page.screenshot();
  }
  await page.evaluate(`store(${JSON.stringify(attacks[0])}, { mark: "keep", note: ${JSON.stringify(evil)} }); tell("marks")`);
  await page.evaluate("byId('help').click(); document.querySelector('dialog').close(); showView('sheet')");
  assert.equal(await page.evaluate("window.owned"), undefined);
  assert.equal(await page.evaluate("document.querySelectorAll('script[src*=example], #panel script, #panel img[src=x], .tile img[src=x]').length"), 0);
  assert.match(await page.evaluate("document.title"), /<b>onload=&quot;x/);
  await close(page);
});

check("points of a distribution are photographs; dragging filters; a second axis compares", async () => {
  const page = await open(cohort(), "#view=plots");
  await page.evaluate("showDistribution(cohort.byName.get('temporal_angle_arteries'))");
  const row = await page.evaluate("[...state.order].find((row) => Number.isFinite(plots.x.values[row]))");
  const place = await page.evaluate(`(() => {
    const [box, [x, y]] = [plots.canvas.getBoundingClientRect(), plots.plot.placeOf(${row})];
    return [box.x + x, box.y + y];
  })()`);
  await page.mouse("mouseMoved", ...place);
  assert.equal(await page.evaluate("plots.card.hidden"), false);
  assert.ok((await page.evaluate("plots.card.textContent")).startsWith(await page.evaluate(`cohort.ids[${row}]`)));
  await page.mouse("mousePressed", ...place);
  await page.mouse("mouseReleased", ...place);
  assert.equal(await page.evaluate("chosen()"), row);
  await page.mouse("mousePressed", place[0], place[1]);
  await page.mouse("mouseMoved", place[0] + 150, place[1], { buttons: 1, button: "left" });
  await page.mouse("mouseReleased", place[0] + 150, place[1]);
  const query = await page.evaluate("byId('query').value");
  const [, low, high] = query.match(/^temporal_angle_arteries>=([\d.]+) temporal_angle_arteries<=([\d.]+)$/) ?? assert.fail(query);
  const wanted = [...table("biomarkers.csv")].filter(([, r]) => r.temporal_angle_arteries && r.temporal_angle_arteries >= Number(low) && r.temporal_angle_arteries <= Number(high)).length;
  assert.ok(wanted > 1);
  assert.equal(await page.evaluate("state.order.length"), wanted);
  await page.evaluate("setQuery(''); showDistribution(plots.x, cohort.byName.get('vd_elps_full_veins'))");
  assert.match(await page.evaluate("plots.title.textContent"), / and /);
  await page.evaluate("plots.canvas.focus()");
  await page.press("Home");
  await page.press("ArrowRight");
  const rank = await page.evaluate("[...state.order].map((row) => plots.x.values[row]).filter((v) => v < plots.x.values[chosen()]).length");
  assert.equal(rank, 1);
  await close(page);
});

check("only tiles on screen exist, wherever one scrolls", async () => {
  const page = await open(cohort());
  const count = () => page.evaluate("document.querySelectorAll('.tile:not([hidden])').length");
  assert.ok((await count()) < 80);
  await page.press("End");
  await page.until("sheet.tiles.has(399)");
  assert.equal(await page.evaluate("document.querySelector('.tile.chosen').getBoundingClientRect().bottom <= sheet.root.getBoundingClientRect().bottom + 1"), true);
  assert.ok((await count()) < 80);
  const wrong = await page.evaluate("[...sheet.tiles].filter(([place, tile]) => tile.parts.caption.textContent !== cohort.ids[state.order[place]]).length");
  assert.equal(wrong, 0);
  await close(page);
});

check("for those who cannot see or point: names, keys, contrast", async () => {
  const page = await open(cohort());
  for (const theme of ["dark", "light"]) {
    await page.evaluate(`setTheme("${theme}")`);
    const poor = await page.evaluate(`(() => {
      const canvas = document.createElement("canvas").getContext("2d");
      const light = (name) => {
        canvas.fillStyle = css(name);
        canvas.fillRect(0, 0, 1, 1);
        const part = (v) => ((v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map(part);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const contrast = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
      const texts = ["--text", "--dim", "--level1", "--level2", "--level3"].flatMap((text) => ["--ground", "--raised"].map((ground) => [text, ground]));
      const onColor = ["--level1", "--level2", "--level3", "--keep", "--exclude", "--again"].map((ground) => ["--on-flag", ground]);
      return [...texts, ...onColor].map((pair) => [...pair, contrast(...pair)]).filter(([, , value]) => value < 4.5);
    })()`);
    assert.deepEqual(poor, [], theme);
  }
  await page.press("Home");
  // Names as the browser computes them for screen readers.
  await page.send("Accessibility.enable");
  const failed = (node) => node.role?.value === "option" && /^eye_\d+, Failed/.test(node.name.value);
  let nodes = [];
  // The tree follows the page by and by.
  for (let looks = 0; looks < 100 && !nodes.some(failed); looks++) {
    if (looks > 0) await new Promise((resolve) => setTimeout(resolve, 100));
    ({ nodes } = await page.send("Accessibility.getFullAXTree"));
  }
  assert.ok(nodes.some(failed));
  const roles = ["button", "combobox", "searchbox", "textbox", "slider", "option", "listbox", "dialog", "progressbar"];
  const nameless = nodes.filter((node) => roles.includes(node.role?.value) && !node.ignored && !node.name?.value);
  assert.deepEqual(nameless.map((node) => node.role.value), []);
  await page.press("?");
  assert.equal(await page.evaluate("byId('keys').open"), true);
  await page.press("Escape");
  assert.equal(await page.evaluate("byId('keys').open"), false);
  await page.press("/");
  assert.equal(await page.evaluate("document.activeElement.id"), "query");
  await page.type("mark:none flag:none");
  await page.until("state.order.length < 400");
  await page.press("Enter");
  assert.equal(await page.evaluate("document.activeElement.id"), "sheet");
  await page.press("Escape");
  assert.equal(await page.evaluate("byId('query').value + state.order.length"), "400");
  await close(page);
});

check("the folder may move, and says what is missing when it is torn apart", async () => {
  const out = join(folder, "moved");
  cpSync(cohort(), out, { recursive: true });
  const page = await open(out, "#q=flag:none");
  await page.screenshot();
  assert.ok((await page.evaluate("document.querySelector('.tile .photo').naturalWidth")) > 0);
  await close(page);
  const generation = readdirSync(join(out, "report_files")).find((name) => /^[0-9a-f]{16}$/.test(name));
  unlinkSync(join(out, "report_files", generation, "chunk-0000.js"));
  const torn = await browser.open(pathToFileURL(join(out, "report.html")).href);
  await torn.until("document.getElementById('query-problem')?.hidden === false");
  assert.match(await torn.evaluate("document.getElementById('query-problem').textContent"), /chunk-0000\.js is not there; keep report\.html and report_files together/);
  await torn.close();
});

check("a folder with nothing but pictures, and one with nothing but a table", async () => {
  const bare = join(folder, "bare");
  writeCohort(bare, { ids: ["only"], side: 64 });
  for (const name of readdirSync(bare)) if (name.endsWith(".csv")) unlinkSync(join(bare, name));
  report(bare);
  const page = await open(bare);
  assert.deepEqual(await shown(page), ["only"]);
  for (const key of ["Enter", "d", "s", "f", "k", "?"]) await page.press(key);
  await close(page);
  const lonely = join(folder, "lonely");
  writeCohort(lonely, { ids: ["x"], side: 64 });
  for (const name of readdirSync(lonely)) if (name !== "quality.csv") rmSync(join(lonely, name), { recursive: true });
  report(lonely);
  const second = await open(lonely);
  assert.deepEqual(await shown(second), ["x"]);
  for (const key of ["Enter", "d", "s"]) await second.press(key);
  await close(second);
});

check("a picture that cannot be read is a finding, not an end", async () => {
  const out = join(folder, "broken");
  writeCohort(out, { ids: ["good", "torn"], side: 64 });
  const path = join(out, "artery_vein", "torn.png");
  writeFileSync(path, png(64, 64, 1, new Uint8Array(64 * 64)).subarray(0, 60));
  assert.match(report(out), /2 photographs/);
  const page = await open(out);
  assert.deepEqual(await shown(page), ["torn", "good"]);
  assert.match(await page.evaluate("document.querySelector('.findings').textContent"), /artery_vein\/torn\.png cannot be read/);
  await close(page);
});
