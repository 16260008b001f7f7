// A browser to test with: Chromium, spoken to through a pipe in its own protocol. No package is needed.

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";

const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--remote-debugging-pipe"];

/** Chromium's path: $CHROMIUM, or where it is installed; nothing without it. */
export function findChromium() {
  const folders = (process.env.PATH ?? "").split(delimiter);
  const installed = ["chromium", "chromium-browser", "google-chrome"].flatMap((name) => folders.map((folder) => join(folder, name)));
  return [process.env.CHROMIUM, ...installed].find((path) => path && existsSync(path));
}

export class Browser {
  #waiting = new Map();
  #number = 0;
  #heard = [];

  static async start({ width = 1440, height = 900 } = {}) {
    const browser = new Browser();
    browser.profile = mkdtempSync(join(tmpdir(), "report-browser-"));
    browser.size = { width, height };
    browser.process = spawn(findChromium(), [...FLAGS, `--user-data-dir=${browser.profile}`, `--window-size=${width},${height}`, "about:blank"], { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
    let rest = "";
    browser.process.stdio[4].on("data", (data) => {
      const parts = (rest + data).split("\0");
      rest = parts.pop();
      for (const part of parts) browser.#hear(JSON.parse(part));
    });
    return browser;
  }

  #hear(message) {
    const waiting = this.#waiting.get(message.id);
    if (waiting) {
      this.#waiting.delete(message.id);
      if (message.error) waiting.failed(new Error(`${waiting.method}: ${message.error.message}`));
      else waiting.done(message.result);
    } else for (const listener of this.#heard) listener(message);
  }

  send(method, params = {}, sessionId) {
    const id = ++this.#number;
    this.process.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return new Promise((done, failed) => this.#waiting.set(id, { done, failed, method }));
  }

  /** A new window on a page, after its own scripts ran. */
  async open(url) {
    const { targetId } = await this.send("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    const page = new Page(this, sessionId, targetId);
    this.#heard.push((message) => message.sessionId === sessionId && page.hear(message));
    for (const domain of ["Page", "Runtime", "Log", "Network", "Performance"]) await page.send(`${domain}.enable`);
    await page.send("Emulation.setDeviceMetricsOverride", { ...this.size, deviceScaleFactor: 1, mobile: false });
    await page.send("Page.addScriptToEvaluateOnNewDocument", { source: FIRST });
    await page.send("Page.navigate", { url });
    return page;
  }

  async close() {
    const ended = new Promise((done) => this.process.once("exit", done));
    await Promise.race([this.send("Browser.close"), ended]);
    await ended;
    rmSync(this.profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Runs before a page's own scripts: notes when the first tiles are on screen. */
const FIRST = `
  window.seen = {};
  addEventListener("securitypolicyviolation", (event) => (window.violations ??= []).push(event.violatedDirective + " " + event.blockedURI));
  const look = () => {
    if (!window.seen.tiles && document.querySelector(".tile")) requestAnimationFrame(() => (window.seen.tiles ??= performance.now()));
    if (!window.seen.all && document.body?.dataset.loaded) window.seen.all = performance.now();
    if (!window.seen.all) requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
`;

export class Page {
  /** Errors of scripts, requests that are not for files, dialogs. */
  problems = [];

  constructor(browser, session, target) {
    Object.assign(this, { browser, session, target });
  }

  send(method, params) {
    return this.browser.send(method, params, this.session);
  }

  hear({ method, params }) {
    if (method === "Runtime.exceptionThrown") this.problems.push(`exception: ${params.exceptionDetails.exception?.description ?? params.exceptionDetails.text}`);
    if (method === "Runtime.consoleAPICalled" && params.type === "error") this.problems.push(`console: ${params.args.map((a) => a.value ?? a.description).join(" ")}`);
    if (method === "Log.entryAdded" && params.entry.level === "error") this.problems.push(`log: ${params.entry.text} ${params.entry.url ?? ""}`);
    if (method === "Network.requestWillBeSent" && !/^(file|data|blob):/.test(params.request.url)) this.problems.push(`request: ${params.request.url}`);
    if (method === "Page.javascriptDialogOpening") {
      this.problems.push(`dialog: ${params.message}`);
      this.send("Page.handleJavaScriptDialog", { accept: false });
    }
  }

  /** The value of an expression in the page; promises are waited for. */
  async evaluate(expression) {
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(`${expression}: ${exceptionDetails.exception?.description ?? exceptionDetails.text}`);
    return result.value;
  }

  /** Waits until an expression holds. */
  async until(expression, seconds = 30) {
    const end = Date.now() + 1000 * seconds;
    while (!(await this.evaluate(`Boolean(${expression})`))) {
      if (Date.now() > end) throw new Error(`not within ${seconds} s: ${expression}`);
      await new Promise((done) => setTimeout(done, 20));
    }
  }

  /** Presses and releases a key, named as KeyboardEvent.key names it. */
  async press(key, { up = true } = {}) {
    const code = { Enter: 13, Escape: 27, ArrowLeft: 37, ArrowUp: 38, ArrowRight: 39, ArrowDown: 40, PageUp: 33, PageDown: 34, Home: 36, End: 35 }[key] ?? key.toUpperCase().charCodeAt(0);
    const event = { key, windowsVirtualKeyCode: code, text: key.length === 1 ? key : undefined };
    await this.send("Input.dispatchKeyEvent", { type: "keyDown", ...event });
    if (up) await this.send("Input.dispatchKeyEvent", { type: "keyUp", ...event, text: undefined });
  }

  async release(key) {
    await this.send("Input.dispatchKeyEvent", { type: "keyUp", key });
  }

  /** Types into what has the focus. */
  type(text) {
    return this.send("Input.insertText", { text });
  }

  async mouse(type, x, y, more = {}) {
    await this.send("Input.dispatchMouseEvent", { type, x, y, button: type === "mouseMoved" ? "none" : "left", clickCount: 1, ...more });
  }

  async click(selector) {
    const [x, y] = await this.evaluate(`(() => { const b = document.querySelector(${JSON.stringify(selector)}).getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()`);
    await this.mouse("mousePressed", x, y);
    await this.mouse("mouseReleased", x, y);
  }

  /** The picture on screen, as PNG. */
  async screenshot() {
    // Pictures are decoded beside the page's scripts.
    await this.evaluate("Promise.allSettled([...document.images].filter((i) => i.src && i.offsetParent).map((i) => i.decode())).then(() => new Promise((d) => requestAnimationFrame(() => requestAnimationFrame(d))))");
    const { data } = await this.send("Page.captureScreenshot", { format: "png" });
    return Buffer.from(data, "base64");
  }

  /** Seconds of the page's main thread so far. */
  async busy() {
    const { metrics } = await this.send("Performance.getMetrics");
    const value = (name) => metrics.find((metric) => metric.name === name).value;
    return { tasks: value("TaskDuration"), scripts: value("ScriptDuration"), layout: value("LayoutDuration"), heap: value("JSHeapUsedSize") };
  }

  close() {
    return this.browser.send("Target.closeTarget", { targetId: this.target });
  }
}
