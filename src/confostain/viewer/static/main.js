// The page: creates its parts, connects them, and updates captions and controls.

import { Annotations } from "./annotations.js";
import { isAdjusted } from "./adjust.js";
import { onConnection } from "./connection.js";
import { bindControls, openPanel } from "./controls.js";
import { Curtain } from "./curtain.js";
import { Drawing } from "./drawing.js";
import { pointsOf } from "./features.js";
import { formatLink, parseLink } from "./link.js";
import { Navigator } from "./navigator.js";
import { paintAnnotations } from "./paint.js";
import { drawConflicts, drawNotes } from "./notes.js";
import { drawAdjustments } from "./panels.js";
import { keepFresh } from "./previews.js";
import { SlideList, preferredLayer, preferredPanes } from "./slides.js";
import { completeView, compose, download, fileName } from "./snapshot.js";
import { Stage } from "./stage.js";
import { lengthText, magnificationAt, magnificationText, resolutionText } from "./units.js";
import { caption } from "./words.js";

const MAX_PANES = 4;

const byId = (id) => document.getElementById(id);
const state = { slide: null, panes: [], drawsByKeyboard: false, waitsForSnapshot: false };

// Parts ------------------------------------------------------------------------------------------------------------

const annotations = new Annotations({
  changed(document) {
    if (document === notes()) drawAnnotationPanel();
    repaint();
  },
  merged({ slide, conflicts }) {
    const asks = `Changed here and elsewhere: ${conflicts.size} of the annotations of ${slide.name}. Choose which version stays.`;
    if (conflicts.size > 0) notice(asks, "Choose", () => openPanel("notes"));
    else notice(`The annotations of ${slide.name} were changed elsewhere too. Both changes are kept.`, "OK");
  },
  failed: ({ slide, problem }) => notice(`Annotations of ${slide.name}: ${problem}`, "OK"),
});
const drawing = new Drawing(annotations, {
  changed() {
    showTool();
    repaint();
  },
  refused: (reason) => notice(reason, "OK"),
});
const curtain = new Curtain(byId("divider"), byId("stage"));
const navigator_ = new Navigator(byId("navigator"), (x, y) => stage.look({ ...stage.sharedView(), x, y }));
const slides = new SlideList(byId("slide-list"), byId("refused"), { chosen: (slide) => openSlide(slide), changed: slidesChanged });
const stage = new Stage(byId("stage"), curtain, {
  changed: () => scheduleShow(),
  painted: paintPane,
  layerChosen: setLayer,
  pressed: (pane, point) => drawing.press(pane, point),
  dragged: (pane, point) => drawing.drag(pane, point),
  dragEnded: () => drawing.release(),
  clicked: (pane, point) => drawing.click(pane, point),
  doubleClicked: (pane) => drawing.finish(pane),
  hovered: hovered,
});

/** The annotations of the slide that was worked on last. */
const notes = () => (stage.pointed?.slide ? annotations.of(stage.pointed.slide) : null);

const onOwnSlide = (pane) => pane.slide?.id === state.slide?.id;

function paintPane(pane, context) {
  const { features, selected } = annotations.of(pane.slide);
  paintAnnotations(context, pane.view(), pane.slide.microns_per_pixel, { features, selected, draft: drawing.draft(pane.slide) });
  if (state.drawsByKeyboard && drawing.tool !== "hand" && pane === stage.active) paintCross(context, pane.view());
}

function paintCross(context, { width, height }) {
  const [x, y] = [width / 2, height / 2];
  context.beginPath();
  for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
    context.moveTo(x + 6 * dx, y + 6 * dy);
    context.lineTo(x + 20 * dx, y + 20 * dy);
  }
  for (const [strokeStyle, lineWidth] of [["rgba(0, 0, 0, 0.7)", 5], ["#fff", 2]]) {
    Object.assign(context, { strokeStyle, lineWidth });
    context.stroke();
  }
}

function hovered(pane, point) {
  state.drawsByKeyboard = false;
  state.pointer = { pane, point };
  drawing.move(pane, point);
  showPosition();
}

let repainting = null;
function repaint() {
  repainting ??= requestAnimationFrame(() => {
    repainting = null;
    stage.paint();
  });
}

// What is shown ----------------------------------------------------------------------------------------------------

function openSlide(slide, { mode = stage.mode, panes = null, view = null } = {}) {
  state.slide = slide;
  annotations.refresh(slide);
  drawing.take("hand");
  slides.mark(slide.id);
  navigator_.show(slide);
  stage.ties.clear();
  setMode(mode, panes ?? keptPanes(mode, slide));
  if (view) stage.look(view);
  document.title = `${slide.name} - confostain`;
}

/** Another slide in the same arrangement: the same layers where it has them. */
function keptPanes(mode, slide) {
  const before = state.panes.map((pane) => slide.layers.find((layer) => layer.id === pane.layer.id));
  if (before.length === 0 || before.includes(undefined)) return preferredPanes(mode, slide, slides.slides);
  return before.map((layer) => ({ slide, layer }));
}

function setMode(mode, panes = null) {
  const active = onOwnSlide(stage.active ?? {}) ? stage.active.layerFacts() : null;
  if (!panes && mode === stage.mode && state.panes.length > 0) return;
  state.panes = panes ?? preferredPanes(mode, state.slide, slides.slides, active);
  stage.slides = slides.slides;
  stage.show(mode, state.panes);
}

function setLayer(index, slideId, layerId) {
  const slide = slides.find(slideId);
  const layer = slide?.layers.find((one) => one.id === layerId);
  if (!layer || !state.panes[index]) return;
  setMode(stage.mode, state.panes.with(index, { slide, layer }));
}

function setActiveLayer(position) {
  const { slide } = stage.active;
  const layer = slide.layers[position];
  if (!layer) return false;
  setLayer(stage.panes.indexOf(stage.active), slide.id, layer.id);
  return true;
}

function changePanes(step) {
  if (stage.mode !== "side") return;
  const layers = state.slide.layers;
  if (step > 0 && state.panes.length < MAX_PANES) {
    const next = layers.find((layer) => !state.panes.some((pane) => pane.layer.id === layer.id)) ?? preferredLayer(state.slide);
    setMode("side", [...state.panes, { slide: state.slide, layer: next }]);
  } else if (step < 0 && state.panes.length > 2) setMode("side", state.panes.slice(0, -1));
}

function slidesChanged(list, fresh) {
  byId("empty").hidden = list.length > 0;
  stage.slides = list;
  annotations.takeOver(list);
  stage.panes.forEach((pane) => pane.offer(list));
  if (fresh.length > 0 && state.slide) {
    notice(`New: ${fresh.map((slide) => slide.name).join(", ")}`, "Show", () => openSlide(fresh.at(-1)));
  }
  if (!state.slide && list.length > 0) openFromLink();
}

function openFromLink() {
  const link = parseLink(location.hash);
  const slide = slides.find(link.slide) ?? slides.slides[0];
  const panes = link.panes.map((pane) => {
    const owner = slides.find(pane.slide);
    return { slide: owner, layer: owner?.layers.find((layer) => layer.id === pane.layer) };
  });
  const mode = link.mode ?? "single";
  const complete = panes.length >= (mode === "single" ? 1 : 2) && panes.every((pane) => pane.layer);
  const usable = complete && slide.id === link.slide;
  openSlide(slide, { mode, panes: usable ? panes.slice(0, { single: 1, curtain: 2, side: MAX_PANES }[mode]) : null, view: slide.id === link.slide ? link.view : null });
}

// Captions and controls -------------------------------------------------------------------------------------------

let showing = null;
function scheduleShow() {
  showing ??= requestAnimationFrame(() => {
    showing = null;
    showAll();
  });
}

function showAll() {
  const pane = stage.active;
  if (!pane?.slide || !state.slide) return;
  byId("slide-name").textContent = state.slide.name;
  for (const mode of ["single", "curtain", "side"]) byId(`mode-${mode}`).setAttribute("aria-checked", String(stage.mode === mode));
  byId("side-controls").hidden = stage.mode !== "side";
  byId("link").setAttribute("aria-pressed", String(stage.linked));
  drawLayerChoices(pane);
  const stains = [...new Set(stage.panes.map((one) => one.drawnFacts()).filter((layer) => layer?.kind === "stain").map((layer) => caption(null, layer)))];
  byId("stained").textContent = stains.join(", ") || (state.slide.models.length ? `${state.slide.label} (not in view)` : caption(state.slide, pane.drawnFacts()));
  stage.panes.forEach((one) => (one.parts.adjusted.hidden = !isAdjusted(one.drawnFacts().id)));
  const seen = stage.panes.map((one) => one.layerFacts()).filter((layer, i, all) => layer && all.findIndex((other) => other?.id === layer.id) === i);
  drawAdjustments(byId("adjust-list"), seen, () => {
    stage.panes.forEach((one) => one.applyAdjustment());
    scheduleShow();
  });
  if (notes() !== state.listed) drawAnnotationPanel();
  showView();
}

function drawLayerChoices(pane) {
  const host = byId("layers");
  const key = pane.slide.id;
  if (host.dataset.key !== key) {
    host.dataset.key = key;
    host.replaceChildren(...pane.slide.layers.map((layer, i) => {
      const button = Object.assign(document.createElement("button"), { type: "button", className: "choice", textContent: layer.label, title: `${layer.note || layer.label} (${i + 1})` });
      button.setAttribute("role", "radio");
      button.dataset.layer = layer.id;
      button.addEventListener("click", () => setActiveLayer(i));
      return button;
    }));
  }
  for (const button of host.children) button.setAttribute("aria-checked", String(button.dataset.layer === pane.layer));
}

function showView() {
  const view = stage.sharedView();
  if (!view) return;
  const magnification = view.mpp && magnificationAt(view.mpp);
  byId("magnification").textContent = `${magnification ? `${magnificationText(magnification)}  ` : ""}${resolutionText(view)}`;
  for (const button of document.querySelectorAll("[data-magnification]")) {
    button.disabled = !magnification;
    button.classList.toggle("now", Math.abs(magnification / button.dataset.magnification - 1) < 0.02);
  }
  byId("flip").setAttribute("aria-pressed", String(view.flipped));
  const own = stage.panes.find(onOwnSlide) ?? stage.active;
  if (own.item) navigator_.draw(own.view());
  showPosition();
  rememberPlace(view);
}

function showPosition() {
  const { pane, point } = state.pointer ?? {};
  if (!pane?.slide || !stage.panes.includes(pane)) return;
  const [x, y] = point.map((value) => lengthText(Math.max(0, value), pane.slide.microns_per_pixel));
  byId("position").textContent = `${x}, ${y}`;
}

let remembering = null;
function rememberPlace() {
  clearTimeout(remembering);
  remembering = setTimeout(() => {
    const view = stage.sharedView();
    if (!view) return;
    const panes = state.panes.map(({ slide, layer }) => ({ slide: slide.id, layer: layer.id }));
    const own = view.slide === state.slide.id ? view : null;
    history.replaceState(null, "", formatLink({ slide: state.slide.id, mode: stage.mode, panes, view: own }));
  }, 300);
}

function drawAnnotationPanel() {
  const own = notes();
  state.listed = own;
  if (!own) return;
  drawNotes(byId("note-list"), own, { go: lookAt, select: (id) => annotations.select(own, id) });
  drawConflicts(byId("note-conflicts"), own);
  byId("note-slide").textContent = `${own.slide.name}${own.slide.microns_per_pixel ? "" : ": pixel size unknown, lengths in pixels"}`;
  byId("note-none").hidden = own.features.length > 0;
  byId("note-none").textContent = whyNone(own);
  byId("saved").textContent = savedText(own);
  showUndo(own);
}

function whyNone({ version, state: reading, problem }) {
  if (version !== null) return "None yet. Choose a tool on the right and click on the slide.";
  return reading === "failed" ? `They cannot be shown: ${problem}` : "Reading them.";
}

function savedText({ state: saving, version, kept, unsaved }) {
  if (saving !== "failed") return { reading: "", saved: "saved", unsaved: "saving", saving: "saving" }[saving];
  if (!unsaved) return version === null ? "not read, trying again" : "saved";
  return kept ? "not saved yet: kept in this browser, trying again" : "not saved, and this browser cannot keep them: leave the page open";
}

function showUndo(own) {
  byId("undo").disabled = own.past.length === 0 && drawing.points.length === 0;
  byId("redo").disabled = own.future.length === 0;
}

function lookAt(feature) {
  const [x, y] = pointsOf(feature)[0] ?? [];
  const pane = stage.panes.find((one) => one.slide.id === notes().slide.id);
  if (x !== undefined && pane) pane.setView({ ...pane.view(), x, y }, { animated: true });
}

function showTool() {
  if (notes()) showUndo(notes());
  for (const button of document.querySelectorAll("[data-tool]")) button.setAttribute("aria-checked", String(button.dataset.tool === drawing.tool));
  byId("hint").hidden = drawing.tool === "hand";
  byId("hint").textContent = `${drawing.hint} ${drawing.points.length ? "Backspace removes the last corner, Esc cancels." : ""}`;
}

function notice(text, action = "", act = null) {
  byId("notice").hidden = !text;
  byId("notice").firstElementChild.textContent = text;
  const button = byId("notice-act");
  button.hidden = !action;
  button.textContent = action;
  button.onclick = () => {
    byId("notice").hidden = true;
    act?.();
  };
}

// Controls -----------------------------------------------------------------------------------------------------------

async function snapshot() {
  if (state.waitsForSnapshot) return;
  state.waitsForSnapshot = true;
  const waits = !stage.isComplete();
  if (waits) notice("The snapshot waits until the view is complete.", "Cancel", () => (state.waitsForSnapshot = false));
  await completeView(stage, () => !state.waitsForSnapshot);
  if (!state.waitsForSnapshot) return;
  state.waitsForSnapshot = false;
  if (waits) notice("");
  compose(stage, curtain.share, paintPane).toBlob((blob) => {
    const layers = state.panes.map((pane) => pane.layer.id).join("-");
    download(blob, `${fileName(state.slide.name)}-${fileName(layers)}.png`);
  }, "image/png");
}

function exportAnnotations() {
  if (!notes()) return;
  const { collection, slide } = notes();
  download(new Blob([JSON.stringify(collection, null, 1)], { type: "application/geo+json" }), `${fileName(slide.name)}.geojson`);
}

function putByKeys() {
  if (drawing.tool === "hand" || !stage.active?.item) return false;
  state.drawsByKeyboard = true;
  const { x, y } = stage.active.view();
  drawing.click(...stage.seenAt(stage.active, [x, y]));
  return true;
}

bindControls({
  stage, drawing, notes, curtain, slides, setMode, setActiveLayer, changePanes, snapshot, exportAnnotations, putByKeys,
  takeTool(tool) {
    state.drawsByKeyboard = true;
    drawing.take(tool);
  },
});
keepFresh(stage);
onConnection((lost) => {
  byId("lost").hidden = !lost;
  if (!lost) annotations.retry();
});
window.addEventListener("pagehide", () => annotations.flush());
window.addEventListener("hashchange", openFromLink);
drawAnnotationPanel();
if (window.OpenSeadragon) slides.start().catch(() => notice("The server does not respond.", "Try again", () => location.reload()));
else notice("OpenSeadragon is missing from this installation; see docs/viewer.md.");
