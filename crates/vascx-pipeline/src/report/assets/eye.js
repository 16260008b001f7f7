// One eye, as large as the window allows: the crop in all its pixels, with the maps as they are on disk.
"use strict";

const eye = { root: byId("eye"), zoom: 1, x: 0.5, y: 0.5, images: {} };

function makeEye() {
  const image = (name) => {
    eye.images[name] = make(`img.${name}`, { alt: "", draggable: false, decoding: "async" });
    eye.images[name].addEventListener("error", () => eye.images[name].removeAttribute("src"));
    return eye.images[name];
  };
  eye.vectors = makeVectors();
  eye.picture = make("div.picture", {}, image("photo"), image("vessels"), image("veins"), image("arteries"), image("disc"), eye.vectors);
  eye.stage = make("div.stage", {}, eye.picture);
  eye.note = make("p.blank", { hidden: true });
  eye.stage.append(eye.note);
  const step = (label, title, act) => make("button.icon", { title, "aria-label": title, onclick: act }, label);
  const fill = make("input", { type: "range", min: 0, max: 100, value: 100 * state.fill, title: "Opacity of the layers ( [ ] )" });
  fill.id = "fill";
  fill.addEventListener("input", () => setFill(fill.value / 100));
  const toggle = (id, label, title, act) => make("button", { id, title, "aria-pressed": false, onclick: act }, label);
  eye.root.append(
    eye.stage,
    make(
      "div.tools",
      {},
      step("←", "Previous (←)", () => choose(state.place - 1)),
      step("→", "Next (→)", () => choose(state.place + 1)),
      make("span.space"),
      make("label", {}, "Fill ", fill),
      toggle("outline", "Outlines", "Outlines of the layers (O)", () => setOutline(!state.outline)),
      toggle("redfree", "Red-free", "Green channel only (G)", () => setRedfree(!state.redfree)),
      make("span.hint", {}, "hold Space: bare photograph"),
      make("span.space"),
      step("−", "Smaller (−)", () => zoomBy(1 / 1.5)),
      step("+", "Larger (+)", () => zoomBy(1.5)),
      step("⤢", "Whole picture (0)", () => resetZoom()),
    ),
  );
  eye.stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoomBy(Math.exp(-event.deltaY / 400), event);
  }, { passive: false });
  eye.stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    let [x, y] = [event.clientX, event.clientY];
    eye.stage.setPointerCapture(event.pointerId);
    const move = (next) => {
      const size = eye.picture.clientWidth || 1;
      eye.x -= (next.clientX - x) / size;
      eye.y -= (next.clientY - y) / size;
      [x, y] = [next.clientX, next.clientY];
      placeEye();
    };
    eye.stage.addEventListener("pointermove", move);
    eye.stage.addEventListener("pointerup", () => eye.stage.removeEventListener("pointermove", move), { once: true });
  });
  eye.stage.addEventListener("dblclick", (event) => (eye.zoom > 1 ? resetZoom() : zoomBy(3, event)));
  new ResizeObserver(placeEye).observe(eye.stage);
}

function setFill(value) {
  state.fill = Math.max(0, Math.min(1, value));
  byId("fill").value = 100 * state.fill;
  drawFilters();
}

function setOutline(value) {
  state.outline = value;
  byId("outline").setAttribute("aria-pressed", value);
  drawFilters();
}

function setRedfree(value) {
  state.redfree = value;
  byId("redfree").setAttribute("aria-pressed", value);
  document.body.classList.toggle("redfree", value);
}

/** `at`: the point of the window that stays where it is; else the middle. */
function zoomBy(factor, at) {
  const zoom = Math.max(1, Math.min(8, eye.zoom * factor));
  const box = eye.stage.getBoundingClientRect();
  const size = Math.min(box.width, box.height);
  const [dx, dy] = at ? [at.clientX - box.left - box.width / 2, at.clientY - box.top - box.height / 2] : [0, 0];
  eye.x += (dx / size) * (1 / eye.zoom - 1 / zoom);
  eye.y += (dy / size) * (1 / eye.zoom - 1 / zoom);
  eye.zoom = zoom;
  placeEye();
}

function resetZoom() {
  Object.assign(eye, { zoom: 1, x: 0.5, y: 0.5 });
  placeEye();
}

/** Puts the point (x, y) of the picture, 0…1, into the middle of the stage. */
function placeEye() {
  const { clientWidth: width, clientHeight: height } = eye.stage;
  const size = Math.min(width, height) * eye.zoom;
  if (!size) return; // not on screen
  const slack = (length) => Math.max(0, 0.5 - length / size / 2);
  const within = (value, length) => Math.min(0.5 + slack(length), Math.max(0.5 - slack(length), value));
  eye.x = within(eye.x, width);
  eye.y = within(eye.y, height);
  eye.picture.style.width = eye.picture.style.height = `${size}px`;
  eye.picture.style.left = `${width / 2 - eye.x * size}px`;
  eye.picture.style.top = `${height / 2 - eye.y * size}px`;
}

/** Addresses of an eye's pictures; null where there is none. */
function eyeUrls(row) {
  const url = (what, folder) => (has(row, what) ? pictureUrl(row, folder) : null);
  return {
    photo: url(HAS.crop, "preprocessed_rgb") ?? originalUrl(row),
    vessels: url(HAS.vessels, "vessels"),
    veins: url(HAS.vesselPair, "artery_vein"),
    arteries: url(HAS.vesselPair, "artery_vein"),
    disc: url(HAS.disc, "disc"),
  };
}

/** The photograph itself, for those that failed: only browsers that can read its format show it. */
function originalUrl(row) {
  const path = cohort.paths[row].replaceAll("\\", "/");
  // Two slashes would name another machine, and a page that looks there is not without network.
  if (!/^(\/(?!\/)|[a-z]:\/)/i.test(path)) return null;
  const names = path.split("/").map(encodeURIComponent);
  const url = names.join("/").replace(/^([a-z])%3A/i, "/$1:");
  return `file://${url}`;
}

function drawEye() {
  if (state.view !== "eye") return;
  const row = chosen();
  const urls = row < 0 ? {} : eyeUrls(row);
  for (const [name, image] of Object.entries(eye.images)) setSource(image, urls[name] ?? null);
  const hasCrop = row >= 0 && has(row, HAS.crop);
  eye.picture.classList.toggle("uncropped", !hasCrop);
  eye.note.hidden = hasCrop;
  eye.note.textContent = row < 0 ? "No photograph matches" : hasCrop ? "" : findingsOf(row)[0]?.text ?? "There is no crop of this photograph";
  if (row >= 0) drawVectors(eye.vectors, row);
  placeEye();
  preload();
}

/** Fetches the next eyes' pictures, so that they are there when the key is pressed. */
function preload() {
  eye.ahead = [1, 2, -1].flatMap((step) => {
    const row = state.order[state.place + step];
    if (row === undefined) return [];
    return [...new Set(Object.values(eyeUrls(row)))].filter(Boolean).map((url) => {
      const image = new Image();
      image.src = url;
      return image;
    });
  });
}
