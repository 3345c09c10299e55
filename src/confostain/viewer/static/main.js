// The page: creates its parts, connects them, and updates captions and controls.

import { Annotations } from "./annotations.js";
import { NEUTRAL, adjustedText, adjustment, adjustmentKey, isAdjusted, setAdjustment } from "./adjust.js";
import { author, keepAuthor } from "./authors.js";
import { bookmarksOf, drawBookmarks, keepBookmarks } from "./bookmarks.js";
import { bindClasses, drawClasses } from "./class_panel.js";
import { onConnection } from "./connection.js";
import { bindControls, togglePanel } from "./controls.js";
import { toCsv } from "./csv.js";
import { Curtain } from "./curtain.js";
import { Drawing } from "./drawing.js";
import { pointsOf } from "./features.js";
import { paintLegend } from "./legend.js";
import { formatLink, parseLink } from "./link.js";
import { bindImport, importFile } from "./importing.js";
import { Navigator } from "./navigator.js";
import { Notices } from "./notices.js";
import { paintAnnotations } from "./paint.js";
import { drawConflicts, drawNotes } from "./notes.js";
import { drawAdjustments } from "./panels.js";
import { keepFresh } from "./previews.js";
import { markChosen } from "./radios.js";
import { SlideList, preferredLayer, preferredPanes } from "./slides.js";
import { completeView, compose, download, fileName } from "./snapshot.js";
import { Stage } from "./stage.js";
import { lengthText, magnificationAt, magnificationText, resolutionText } from "./units.js";
import { Overlays } from "./overlays.js";
import { Viewed } from "./viewed_panel.js";
import { hiddenText, shown } from "./visibility.js";
import { caption } from "./words.js";

const MAX_PANES = 4;

const byId = (id) => document.getElementById(id);
const notices = new Notices(byId("notices"));
const state = { slide: null, panes: [], drawsByKeyboard: false, waitsForSnapshot: false };

// Parts ------------------------------------------------------------------------------------------------------------

const annotations = new Annotations({
  changed(document) {
    if (document === notes()) drawAnnotationPanel();
    repaint();
  },
  merged({ slide, conflicts }) {
    const asks = `Changed here and elsewhere: ${conflicts.size} of the annotations of ${slide.name}. Choose which version stays.`;
    if (conflicts.size > 0) notices.show(`merged ${slide.id}`, asks, "Choose", () => togglePanel("notes", true));
    else notices.show(`merged ${slide.id}`, `The annotations of ${slide.name} were changed elsewhere too. Both changes are kept.`);
  },
  failed: ({ slide, problem }) => notices.show(`failed ${slide.id}`, `Annotations of ${slide.name}: ${problem}`),
  refused: (reason) => notices.show("refused", reason),
});
const drawing = new Drawing(annotations, {
  changed() {
    showTool();
    repaint();
  },
  refused: (reason) => notices.show("refused", reason),
});
const curtain = new Curtain(byId("divider"), byId("stage"), (factor, x, y) => stage.active?.item && stage.active.zoomAbout(factor, x, y));
const navigator_ = new Navigator(byId("navigator"), (x, y) => stage.look({ ...stage.sharedView(), x, y }), (...place) => viewed.paint(...place));
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

const overlays = new Overlays({ changed: () => repaint(), go: lookAtPoint });
const viewed = new Viewed(stage, curtain, () => {
  repaint();
  navigator_.draw();
});

/** The annotations of the slide that was worked on last. */
const notes = () => (stage.pointed?.slide ? annotations.of(stage.pointed.slide) : null);

const onOwnSlide = (pane) => pane.slide?.id === state.slide?.id;

function paintPane(pane, context) {
  const onRight = stage.mode === "curtain" && pane === stage.panes[1];
  viewed.paint(pane.slide, context, pane.view());
  overlays.paint(pane.slide, context, pane.view());
  if (!onRight || pane.slide.id !== stage.panes[0].slide?.id) paintLegend(context, pane.view(), [...viewed.legend(pane.slide), ...overlays.legend(pane.slide)], onRight);
  const { features, selected } = annotations.of(pane.slide);
  paintAnnotations(context, pane.view(), pane.slide.microns_per_pixel, { features: shown(features), selected, draft: drawing.draft(pane.slide) });
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
  viewed.hover(pane.slide, point);
  overlays.hover(pane.slide, point);
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
  notices.hide("link");
  byId("empty").hidden = true;
  navigator_.show(slide);
  viewed.show(slide);
  overlays.show(slide);
  stage.ties.clear();
  setMode(mode, panes ?? keptPanes(mode, slide));
  if (view) stage.look(view);
  document.title = `${slide.name} - confostain`;
  showBookmarks();
}

/** Another slide in the same arrangement: the same layers where it has them. */
function keptPanes(mode, slide) {
  const before = state.panes.map((pane) => slide.layers.find((layer) => layer.id === pane.layer.id));
  if (before.length === 0 || before.includes(undefined)) return preferredPanes(mode, slide, slides.slides);
  return before.map((layer) => ({ slide, layer }));
}

function setMode(mode, panes = null) {
  if (!state.slide) return;
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
  const { slide } = stage.active ?? {};
  const layer = slide?.layers[position];
  if (!layer) return false;
  setLayer(stage.panes.indexOf(stage.active), slide.id, layer.id);
  return true;
}

function changePanes(step) {
  if (!state.slide || stage.mode !== "side") return;
  const layers = state.slide.layers;
  if (step > 0 && state.panes.length < MAX_PANES) {
    const next = layers.find((layer) => !state.panes.some((pane) => pane.layer.id === layer.id)) ?? preferredLayer(state.slide);
    setMode("side", [...state.panes, { slide: state.slide, layer: next }]);
  } else if (step < 0 && state.panes.length > 2) setMode("side", state.panes.slice(0, -1));
}

function slidesChanged(list, fresh) {
  byId("empty").hidden = state.slide !== null || list.length > 0;
  stage.slides = list;
  annotations.takeOver(list);
  stage.panes.forEach((pane) => pane.offer(list));
  if (fresh.length > 0 && state.slide) {
    notices.show("new", `New: ${fresh.map((slide) => slide.name).join(", ")}`, "Show", () => openSlide(fresh.at(-1)));
  }
  if (!state.slide && list.length > 0) openFromLink();
}

function openFromLink() {
  const link = parseLink(location.hash);
  const slide = link.slide === null ? slides.slides[0] : slides.find(link.slide);
  if (!slide) {
    closeSlide(`The link names a slide that is not here (${link.slide.slice(0, 64)}). Choose one from the list.`);
    return;
  }
  const panes = link.panes.map((pane) => {
    const owner = slides.find(pane.slide);
    return { slide: owner, layer: owner?.layers.find((layer) => layer.id === pane.layer), adjustment: pane.adjustment };
  });
  const mode = link.mode ?? "single";
  const complete = panes.length >= (mode === "single" ? 1 : 2) && panes.every((pane) => pane.layer);
  const usable = complete && slide.id === link.slide;
  if (usable) panes.forEach((pane) => setAdjustment(adjustmentKey(pane.slide.id, pane.layer.id), pane.adjustment ?? NEUTRAL));
  openSlide(slide, { mode, panes: usable ? panes.slice(0, { single: 1, curtain: 2, side: MAX_PANES }[mode]) : null, view: slide.id === link.slide ? link.view : null });
  if (link.panes.length > 0 && !usable) notices.show("link", "The link names layers that are not here. Shown are others of the slide.");
}

/** Show no slide, and why. */
function closeSlide(why) {
  Object.assign(state, { slide: null, panes: [], pointer: null });
  annotations.flush();
  stage.clear();
  slides.mark(null);
  byId("slide-name").textContent = "confostain";
  byId("stained").textContent = "";
  byId("layers").replaceChildren();
  delete byId("layers").dataset.key;
  document.title = "confostain";
  notices.show("link", why, "Slides", () => togglePanel("slides", true));
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
  markChosen(byId("modes").children, (button) => button.id === `mode-${stage.mode}`);
  byId("side-controls").hidden = stage.mode !== "side";
  byId("link").setAttribute("aria-pressed", String(stage.linked));
  drawLayerChoices(pane);
  const stains = [...new Set(stage.panes.map((one) => one.drawnFacts()).filter((layer) => layer?.kind === "stain").map((layer) => layer.id))];
  byId("stained").textContent = stains.length ? `digitally stained: ${stains.join(", ")}` : (state.slide.models.length ? `${state.slide.label} (not in view)` : caption(state.slide, pane.drawnFacts()));
  for (const one of stage.panes) {
    one.parts.adjusted.hidden = !isAdjusted(one.adjustmentKey);
    one.parts.adjusted.textContent = adjustedText(one.adjustmentKey);
    one.parts.hiddenNotes.textContent = one.slide ? hiddenText(annotations.of(one.slide).features) : "";
    one.parts.scale.parentElement.hidden = !stage.showsScale(one);
  }
  drawAdjustments(byId("adjust-list"), layersInView(), () => {
    stage.panes.forEach((one) => one.applyAdjustment());
    scheduleShow();
  });
  if (notes() !== state.listed) drawAnnotationPanel();
  showView();
}

/** What panels.js shows of each layer in view, once. */
function layersInView() {
  const several = new Set(stage.panes.map((pane) => pane.slide?.id)).size > 1;
  const seen = stage.panes.filter((pane) => pane.slide).map((pane) => {
    const label = pane.layerFacts().label + (several ? `, ${pane.slide.name}` : "");
    return [pane.adjustmentKey, { key: pane.adjustmentKey, label, slide: pane.slide.id, id: pane.drawnFacts().id, canvas: () => pane.imageCanvas }];
  });
  return [...new Map(seen).values()];
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
  markChosen(host.children, (button) => button.dataset.layer === pane.layer);
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
  showBrush();
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
    if (!view || !state.slide) return;
    history.replaceState(null, "", linkTo(view));
  }, 300);
}

function linkTo(view) {
  const panes = state.panes.map(({ slide, layer }) => {
    const key = adjustmentKey(slide.id, layer.id);
    return { slide: slide.id, layer: layer.id, adjustment: isAdjusted(key) ? adjustment(key) : undefined };
  });
  return formatLink({ slide: state.slide.id, mode: stage.mode, panes, view: view.slide === state.slide.id ? view : null });
}

function showBookmarks() {
  drawBookmarks(byId("bookmark-list"), state.slide.id, (link) => {
    history.replaceState(null, "", link);
    openFromLink();
  }, showBookmarks);
  byId("bookmark-none").hidden = bookmarksOf(state.slide.id).length > 0;
}

function addBookmark() {
  const view = stage.sharedView();
  if (!view) return;
  const name = `${byId("bookmark-name").value.trim() || `View ${bookmarksOf(state.slide.id).length + 1}`}, ${byId("magnification").textContent.split("  ")[0]}`;
  const kept = keepBookmarks(state.slide.id, [...bookmarksOf(state.slide.id), { name, link: linkTo(view) }]);
  if (!kept) notices.show("bookmark", "This browser keeps no bookmarks; copy the address instead.");
  byId("bookmark-name").value = "";
  showBookmarks();
}

function drawAnnotationPanel() {
  const own = notes();
  state.listed = own;
  if (!own) return;
  drawNotes(byId("note-list"), own, { go: lookAt, select: (id) => annotations.select(own, id), showHidden });
  drawClasses(own.features);
  drawConflicts(byId("note-conflicts"), own);
  byId("note-slide").textContent = `${own.slide.name}${own.slide.microns_per_pixel ? "" : ": pixel size unknown, lengths in pixels"}`;
  byId("note-none").hidden = own.features.length > 0;
  byId("note-none").textContent = whyNone(own);
  byId("saved").textContent = savedText(own);
  showUndo(own);
}

/** After what is hidden, or the class of new annotations, has changed. */
function showHidden() {
  drawAnnotationPanel();
  repaint();
  scheduleShow();
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

/** Shows a level-0 point of a slide in the middle, at 10x or finer; 1 screen pixel for each of the slide where no size is known. */
function lookAtPoint(slide, [x, y]) {
  const pane = stage.panes.find((one) => one.slide.id === slide.id);
  if (!pane?.item) return;
  const view = pane.view();
  pane.setView({ ...view, x, y, scale: Math.max(view.scale, slide.microns_per_pixel ?? 1) }, { animated: true });
}

function showTool() {
  if (notes()) showUndo(notes());
  markChosen(document.querySelectorAll("[data-tool]"), (button) => button.dataset.tool === drawing.tool);
  showBrush();
  byId("hint").hidden = drawing.tool === "hand";
  byId("hint").textContent = `${drawing.hint} ${drawing.points.length ? "Backspace removes the last corner, Esc cancels." : ""}`;
}

// Controls -----------------------------------------------------------------------------------------------------------

async function snapshot() {
  if (state.waitsForSnapshot || !stage.active?.item) return;
  state.waitsForSnapshot = true;
  const waits = !stage.isComplete();
  if (waits) notices.show("snapshot", "The snapshot waits until the view is complete.", "Cancel", () => (state.waitsForSnapshot = false));
  await completeView(stage, () => !state.waitsForSnapshot);
  if (!state.waitsForSnapshot) return;
  state.waitsForSnapshot = false;
  notices.hide("snapshot");
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

function exportTable() {
  if (!notes()) return;
  const { slide, features } = notes();
  download(new Blob(["\uFEFF", toCsv(slide, features)], { type: "text/csv" }), `${fileName(slide.name)}-annotations.csv`);
}

async function importAnnotations(file) {
  if (!notes()) return;
  togglePanel("notes", true);
  const done = await importFile(file, notes()).catch((error) => error.message);
  notices.show("import", done);
}

function showBrush() {
  byId("brush-field").hidden = !["brush", "eraser"].includes(drawing.tool);
  const { view, slide } = stage.active?.item ? { view: stage.active.view(), slide: stage.active.slide } : {};
  byId("brush-text").textContent = view ? lengthText((2 * drawing.painting.radius) / view.scale, slide.microns_per_pixel) : "";
}

function putByKeys() {
  if (drawing.tool === "hand" || !stage.active?.item) return false;
  state.drawsByKeyboard = true;
  const { x, y } = stage.active.view();
  const seen = stage.seenAt(stage.active, [x, y]);
  [stage.pointed] = seen;
  drawing.press(...seen);
  drawing.click(...seen);
  return true;
}

bindControls({
  stage, drawing, notes, curtain, slides, setMode, setActiveLayer, changePanes, snapshot, exportAnnotations, exportTable, putByKeys, addBookmark, viewed, overlays,
  showOverlays: () => state.slide && !byId("overlays").hidden && overlays.show(state.slide),
  takeTool(tool, byKeys) {
    state.drawsByKeyboard = byKeys;
    drawing.take(tool);
  },
});
bindClasses(() => notes()?.features ?? [], showHidden);
bindImport(byId("import-file"), importAnnotations);
byId("author").value = author();
byId("author").addEventListener("change", () => {
  if (!keepAuthor(byId("author").value)) notices.show("author", "This browser keeps no name; annotations are saved without author.");
});
byId("brush-size").addEventListener("input", () => {
  drawing.painting.radius = Number(byId("brush-size").value);
  showBrush();
  repaint();
});
keepFresh(stage, (slide) => {
  slides.renew(slide);
  navigator_.renew(slide);
});
onConnection((lost) => {
  byId("lost").hidden = !lost;
  if (!lost) annotations.retry();
});
window.addEventListener("pagehide", () => {
  annotations.flush();
  viewed.flush();
});
window.addEventListener("hashchange", openFromLink);
drawAnnotationPanel();
if (window.OpenSeadragon) slides.start().catch(() => notices.show("server", "The server does not respond.", "Try again", () => location.reload()));
else notices.show("server", "OpenSeadragon is missing from this installation; see docs/viewer.md.");
