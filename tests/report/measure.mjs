// How the report feels with many photographs: node tests/report/measure.mjs OUT
//
// OUT holds a report, made for instance by tools/report/cohort.mjs and `vascx report`. Prints one JSON
// object: seconds until the first tiles and until everything is loaded, milliseconds of each filter, sort,
// key and plot, and how long the frames take while the contact sheet is scrolled.

import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

import { Browser } from "./browser.mjs";

const [out] = process.argv.slice(2);
if (!out) {
  console.error("usage: node tests/report/measure.mjs OUT");
  process.exit(2);
}
const browser = await Browser.start();
const page = await browser.open(pathToFileURL(resolve(out, "report.html")).href);
await page.until("window.seen?.all", 300);
await page.evaluate("new Promise((done) => setTimeout(done, 1000))");

/** Milliseconds from calling something until the screen shows it, the median of several. */
const time = (call, times = 5) =>
  page.evaluate(`(async () => {
    const all = [];
    for (let i = 0; i < ${times}; i++) {
      const from = performance.now();
      ${call};
      await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
      all.push(performance.now() - from);
    }
    return Math.round(all.sort((a, b) => a - b)[${Math.floor(times / 2)}]);
  })()`);

/** Milliseconds between frames while the sheet scrolls by \`step\` pixels a frame. */
const scroll = (step) =>
  page.evaluate(`(async () => {
    setQuery("");
    showView("sheet");
    sheet.root.scrollTop = 0;
    const frames = [];
    let last = performance.now();
    for (let i = 0; i < 180; i++) {
      sheet.root.scrollTop += ${step};
      const now = await new Promise(requestAnimationFrame);
      frames.push(now - last);
      last = now;
    }
    frames.sort((a, b) => a - b);
    return { median: Math.round(frames[90]), "95 %": Math.round(frames[171]), worst: Math.round(frames[179]) };
  })()`);

const seconds = (milliseconds) => Number((milliseconds / 1000).toFixed(2));
const seen = await page.evaluate("window.seen");
const result = {
  photographs: await page.evaluate("cohort.count"),
  columns: await page.evaluate("cohort.columns.length"),
  first_tiles_s: seconds(seen.tiles),
  all_loaded_s: seconds(seen.all),
  search_id_ms: await time('setQuery("0012" + i)'),
  filter_flag_ms: await time('setQuery(i % 2 ? "flag:outlier" : "flag:field")'),
  filter_number_ms: await time('setQuery("p3>0." + (i + 2) + " mark:none")'),
  clear_filter_ms: await time('setQuery("x"); setQuery("")'),
  sort_column_ms: await time('byId("sort").value = cohort.columns[i + 3].name; refresh()'),
  sort_id_ms: await time('byId("sort").value = "id"; refresh()', 3),
  sort_back_ms: await time('byId("sort").value = "triage"; refresh()'),
  next_photograph_ms: await time("choose(state.place + 1); showChosen()", 15),
  decide_ms: await time('decide("keep")', 15),
  one_eye_next_ms: await time('showView("eye"); choose(state.place + 1)', 9),
  distribution_ms: await time("showDistribution(cohort.columns[i + 10], null)"),
  hover_point_ms: await time("plots.plot.nearest(300 + 40 * i, 330); plots.plot.draw()"),
  two_biomarkers_ms: await time("showDistribution(cohort.columns[i + 10], cohort.columns[i + 20])"),
  scroll_60_px_frames_ms: await scroll(60),
  scroll_2000_px_frames_ms: await scroll(2000),
  jump_to_end_ms: await time("choose(i % 2 ? 0 : state.order.length - 1); showChosen()"),
  script_heap_mb: Math.round((await page.busy()).heap / 1e6),
  // Failed photographs show the original, which made-up cohorts do not have.
  problems: page.problems.filter((problem) => !/ERR_FILE_NOT_FOUND/.test(problem)),
};
console.log(JSON.stringify(result, null, 2));
await browser.close();
