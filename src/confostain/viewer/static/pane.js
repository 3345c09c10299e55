// One pane: an OpenSeadragon viewer that shows one layer of one slide, with a canvas for drawings above it.

import { toScreen, toSlide } from "./geometry.js";
import { layerSource } from "./tilesource.js";
import { dropUnwanted } from "./tilequeue.js";
import { makeViewer } from "./osd.js";
import { adjustmentKey, filterFor } from "./adjust.js";
import { randomHex } from "./ids.js";
import { caption, describeSource } from "./words.js";
import { scaleBar } from "./units.js";
import { PinchTurn, snapped } from "./pinch.js";
import { hatch } from "./hatch.js";

const SCALE_BAR = 140; // CSS pixels at most

/**
 * `events`: {moved, pressed, clicked, doubleClicked, dragged, dragEnded, hovered, painted, layerChosen}, each called with
 * the pane first. A handler of pressed or dragged that returns true keeps OpenSeadragon from panning.
 */
export class Pane {
  constructor(host, events) {
    const root = document.getElementById("pane-template").content.firstElementChild.cloneNode(true);
    host.append(root);
    const number = host.querySelectorAll(".pane").length;
    Object.assign(this, { root, number, events, slide: null, layer: null, item: null, client: randomHex() });
    this.parts = Object.fromEntries([...root.querySelectorAll("[data-part]")].map((part) => [part.dataset.part, part]));
    this.moves = 0;
    this.revisions = new Map();
    this.seen = new Set();
    this.pinch = new PinchTurn();
    Object.assign(this, { tiles: [], nextTiles: [] });
    this.viewer = this.#makeViewer();
    this.parts.layer.addEventListener("change", () => {
      const [slide, layer] = this.parts.layer.value.split(":");
      events.layerChosen(this, slide, layer);
    });
    this.resizing = new ResizeObserver(() => this.#frame());
    this.resizing.observe(root);
  }

  #makeViewer() {
    const viewer = makeViewer(this.parts.image);
    viewer.addHandler("update-viewport", () => {
      [this.tiles, this.nextTiles] = [this.nextTiles, []];
      if (this.item) this.#paintUnfinished();
      this.#frame();
    });
    viewer.addHandler("animation-finish", () => this.#settled());
    viewer.addHandler("tile-drawn", ({ tile, tiledImage }) => this.#drawn(tile, tiledImage));
    for (const name of ["canvas-press", "canvas-drag", "canvas-drag-end", "canvas-click", "canvas-double-click"]) {
      viewer.addHandler(name, (event) => this.#pointer(name, event));
    }
    viewer.addHandler("canvas-scroll", () => this.events.pressed(this, null));
    viewer.addHandler("canvas-pinch", (event) => this.#pinched(event));
    viewer.addHandler("canvas-release", () => this.#released());
    this.parts.image.addEventListener("pointermove", (event) => this.item && this.events.hovered(this, this.#under(event)));
    return viewer;
  }

  #under({ clientX, clientY }) {
    const box = this.parts.image.getBoundingClientRect();
    return toSlide(this.view(), [clientX - box.left, clientY - box.top]);
  }

  #pointer(name, event) {
    if (!this.item) return;
    const point = this.#under(event.originalEvent); // event.position is mirrored on a mirrored slide, in some events
    const handler = {
      "canvas-press": "pressed", "canvas-drag": "dragged", "canvas-drag-end": "dragEnded",
      "canvas-click": "clicked", "canvas-double-click": "doubleClicked",
    }[name];
    if (name === "canvas-click" && !event.quick) return;
    if (this.events[handler](this, point) === true) event.preventDefaultAction = true;
  }

  #pinched({ gesturePoints, center }) {
    this.events.pressed(this, null);
    const port = this.viewer.viewport;
    const rotation = this.pinch.moved(gesturePoints, port.getRotation(true), port.getFlip());
    port.rotateTo(rotation, port.pointFromPixel(center, true), true);
  }

  #released() {
    if (!this.item || !this.pinch.ended()) return;
    const { rotation } = this.view(false);
    if (snapped(rotation) !== rotation) this.setView({ ...this.view(false), rotation: 0 }, { animated: true });
  }

  /** Zoom about a point of the window, in client coordinates. */
  zoomAbout(factor, clientX, clientY) {
    const box = this.parts.image.getBoundingClientRect();
    const port = this.viewer.viewport;
    const point = new window.OpenSeadragon.Point(clientX - box.left, clientY - box.top);
    port.zoomBy(factor, port.pointFromPixel(point, true), true);
    port.applyConstraints();
  }

  /**
   * Show a layer. The view stays where it is, unless the slide is another one: then all of it is shown. A layer of the
   * same slide stays in sight, with its caption, until the new one is complete: the two are never mixed.
   */
  show(slide, layer, { fresh = false } = {}) {
    const other = this.slide?.id !== slide.id;
    if (!other && this.layer === layer.id && !fresh) return;
    const key = `${slide.id}:${layer.id}`;
    if (fresh) this.revisions.set(key, (this.revisions.get(key) ?? 0) + 1);
    const outgoing = this.item;
    outgoing?.source.close();
    Object.assign(this, { slide, layer: layer.id });
    this.source = layerSource(slide, layer.id, this, this.revisions.get(key) ?? 0);
    if (other) this.drawn = null;
    this.viewer.addTiledImage({
      tileSource: this.source, opacity: other ? 1 : 0, preload: true,
      success: ({ item }) => this.#arrived(item, layer, other),
    });
    this.#describe();
  }

  #arrived(item, layer, other) {
    if (item.source !== this.source) { // yet another layer has been chosen
      this.viewer.world.removeItem(item);
      return;
    }
    this.item = item;
    this.#keepOnly(this.drawn?.item, item);
    item.addHandler("fully-loaded-change", ({ fullyLoaded }) => fullyLoaded && this.#reveal(item, layer));
    if (!this.drawn) this.#reveal(item, layer);
    if (other || this.pendingView) {
      if (this.pendingView) this.setView(this.pendingView);
      else this.fit();
      this.pendingView = null;
    }
    this.events.moved(this);
  }

  #reveal(item, layer) {
    if (item !== this.item || item === this.drawn?.item) return;
    item.setOpacity(1);
    this.#keepOnly(item);
    this.drawn = { item, layer };
    this.seen.clear();
    this.#describe();
    this.applyAdjustment();
    this.events.moved(this);
  }

  #keepOnly(...kept) {
    const { world } = this.viewer;
    const all = Array.from({ length: world.getItemCount() }, (_, i) => world.getItemAt(i));
    all.filter((one) => !kept.includes(one)).forEach((one) => world.removeItem(one));
  }

  /** Fetch the tiles of the layer again: previews have been replaced by final pixels. */
  refresh() {
    const layer = this.slide.layers.find((one) => one.id === this.layer);
    this.show(this.slide, layer, { fresh: true });
  }

  // View -------------------------------------------------------------------------------------------

  /** The view on the screen now, or (`now` false) the one at the end of the current animation. */
  view(now = true) {
    const port = this.viewer.viewport;
    const size = port.getContainerSize();
    const centre = port.getCenter(now);
    const width = this.slide.width;
    return {
      x: centre.x * width, y: centre.y * width, scale: (port.getZoom(now) * size.x) / width,
      rotation: port.getRotation(now), flipped: port.getFlip(), width: size.x, height: size.y,
    };
  }

  /** `view` is like the result of view(), without width and height. */
  setView(view, { animated = false } = {}) {
    if (!this.item) {
      this.pendingView = view;
      return;
    }
    const port = this.viewer.viewport;
    const width = this.slide.width;
    port.zoomTo((view.scale * width) / port.getContainerSize().x, null, !animated);
    port.panTo(new window.OpenSeadragon.Point(view.x / width, view.y / width), !animated);
    if (port.getRotation() !== view.rotation) port.setRotation(view.rotation, !animated);
    if (port.getFlip() !== view.flipped) port.setFlip(view.flipped);
  }

  /** The view that shows the whole slide, turned as it is. */
  fit() {
    const size = this.viewer.viewport.getContainerSize();
    const ahead = this.view(false);
    const quarter = Math.abs(Math.sin((ahead.rotation * Math.PI) / 180)) > 0.7;
    const [w, h] = quarter ? [this.slide.height, this.slide.width] : [this.slide.width, this.slide.height];
    const scale = 0.92 * Math.min(size.x / w, size.y / h);
    this.setView({ ...ahead, x: this.slide.width / 2, y: this.slide.height / 2, scale });
  }

  // Called by tilesource.js ------------------------------------------------------------------------------------------

  viewNumber() {
    return this.moves;
  }

  focus() {
    const { x, y } = this.view();
    return `${Math.round(x)},${Math.round(y)}`;
  }

  rankOf(level, place) {
    const view = this.view();
    const away = Math.hypot(place.x + place.width / 2 - view.x, place.y + place.height / 2 - view.y);
    return -level * 1e7 + away;
  }

  wants(level, place) {
    if (level >= this.slide.levels - 2) return true;
    const view = this.view();
    if (2 ** level * view.scale < 0.2) return false; // far finer than the screen shows
    const reach = Math.hypot(view.width, view.height) / 2 / view.scale;
    return (
      place.x < view.x + reach && place.x + place.width > view.x - reach &&
      place.y < view.y + reach && place.y + place.height > view.y - reach
    );
  }

  redraw() {
    this.viewer.forceRedraw();
  }

  // Drawing ---------------------------------------------------------------------------------------------------

  #frame() {
    if (!this.item || this.framed) return;
    this.framed = requestAnimationFrame(() => {
      this.framed = null;
      if (!this.item || !this.viewer.viewport) return;
      this.events.moved(this);
      this.paint();
      this.#showScale();
      this.#showSource();
    });
  }

  #settled() {
    this.moves += 1;
    dropUnwanted([...this.source.requests]);
    // The layer in sight fetches nothing more and cannot follow the view.
    if (this.source.hasArrived()) this.#reveal(this.item, this.layerFacts());
  }

  paint() {
    if (!this.item) return;
    this.events.painted(this, this.#clearedCanvas(this.parts.overlay));
  }

  /** Hatches what is seen of a preview. */
  #paintUnfinished() {
    const view = this.view();
    const onScreen = ({ place, preview }) => ({ preview, corners: place.map((point) => toScreen(view, point)) });
    hatch(this.#clearedCanvas(this.parts.unfinished), this.tiles.map(onScreen));
  }

  #clearedCanvas(canvas) {
    const { width, height } = this.view();
    const ratio = window.devicePixelRatio || 1;
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    return context;
  }

  #showScale() {
    const { scale } = this.view();
    const bar = scaleBar(1 / scale, this.slide.microns_per_pixel, Math.min(SCALE_BAR, this.root.clientWidth / 3));
    this.parts.scale.style.width = `${bar.pixels}px`;
    this.parts.scale.dataset.text = bar.text;
    this.parts.scale.setAttribute("aria-label", `Scale bar: ${bar.text}`);
  }

  #drawn(tile, tiledImage) {
    if (tiledImage === this.drawn?.item) this.seen.add(this.source.provenance(tile.getUrl()));
    const size = tiledImage.getContentSize().x;
    const [left, top, right, bottom] = [tile.bounds.x, tile.bounds.y, tile.bounds.x + tile.bounds.width, tile.bounds.y + tile.bounds.height].map((side) => side * size);
    this.nextTiles.push({ place: [[left, top], [right, top], [right, bottom], [left, bottom]], preview: tiledImage.source.isPreview(tile.getUrl()) });
  }

  #showSource() {
    if (this.seen.size === 0 || !this.drawn) return;
    const { state, text } = describeSource(this.drawn.layer, this.seen, this.drawn.item.source.hasFailed());
    this.seen.clear();
    this.provenance = state;
    if (this.parts.source.textContent !== text) this.parts.source.textContent = text;
    this.parts.source.dataset.state = state;
    this.parts.progress.hidden = state !== "preview" || !this.parts.progress.textContent;
  }

  /** `share` of the layer is computed at the magnification in view, 0 to 1. */
  showProgress(share) {
    this.parts.progress.textContent = `${Math.floor(100 * share)} %`;
    this.parts.progress.hidden = this.provenance !== "preview";
  }

  /** The caption says what is drawn, and what is to come. */
  #describe() {
    const [wanted, drawn] = [this.layerFacts(), this.drawnFacts()];
    this.parts.stain.textContent = caption(this.slide, drawn);
    this.parts.stain.dataset.kind = drawn.kind;
    this.parts.loading.textContent = drawn.id === wanted.id ? "" : `${drawn.label}; ${wanted.label} is loading`;
    if (this.described !== this.adjustmentKey) { // what is said of the picture in sight stays while another one loads
      this.parts.source.textContent = "";
      this.parts.progress.textContent = "";
      this.parts.progress.hidden = true;
      this.provenance = null;
    }
    this.described = this.adjustmentKey;
    this.root.setAttribute("aria-label", `Pane ${this.number}: ${drawn.label} of ${this.slide.name}`);
  }

  /** The layer that was chosen. */
  layerFacts() {
    return this.slide.layers.find((one) => one.id === this.layer);
  }

  /** The layer whose picture is seen. */
  drawnFacts() {
    return this.drawn?.layer ?? this.layerFacts();
  }

  /** Whether the chosen layer is drawn at the full resolution of the view, and stands still. */
  isComplete() {
    if (!this.item || this.drawn?.item !== this.item) return false;
    const { world, viewport } = this.viewer;
    const [now, ahead] = [viewport.getBounds(true), viewport.getBounds(false)];
    return this.item.getFullyLoaded() && !world.needsDraw() && now.equals(ahead) && viewport.getRotation(true) === viewport.getRotation(false);
  }

  /** Fill the pane's menu with slides and layers. */
  offer(slides) {
    const groups = slides.map((slide) => {
      const group = document.createElement("optgroup");
      group.label = slide.name;
      group.append(...slide.layers.map((layer) => new Option(layer.label, `${slide.id}:${layer.id}`)));
      return group;
    });
    this.parts.layer.replaceChildren(...groups);
    if (this.slide) this.parts.layer.value = `${this.slide.id}:${this.layer}`;
  }

  applyAdjustment() {
    if (this.item) this.viewer.drawer.canvas.style.filter = filterFor(this.adjustmentKey);
  }

  /** Names the layer in sight for adjust.js. */
  get adjustmentKey() {
    return adjustmentKey(this.slide.id, this.drawnFacts().id);
  }

  /** The place on the screen of a point of the slide, and back. */
  toScreen(point) {
    return toScreen(this.view(), point);
  }

  toSlide(place) {
    return toSlide(this.view(), place);
  }

  get imageCanvas() {
    return this.viewer.drawer.canvas;
  }

  destroy() {
    this.resizing.disconnect();
    this.source?.close();
    this.item = null;
    this.viewer.destroy();
    this.root.remove();
  }
}
