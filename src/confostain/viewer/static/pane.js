// One pane: an OpenSeadragon viewer that shows one layer of one slide, with a canvas for drawings above it.

import { toScreen, toSlide } from "./geometry.js";
import { layerSource } from "./tilesource.js";
import { dropUnwanted } from "./tilequeue.js";
import { makeViewer } from "./osd.js";
import { filterFor } from "./adjust.js";
import { randomHex } from "./ids.js";
import { caption, describeSource } from "./words.js";
import { scaleBar } from "./units.js";

const LONGEST_HANDOVER_MS = 6000; // an outgoing layer stays beneath the new one until that is complete, or this long
const SCALE_BAR = 140; // CSS pixels at most

/**
 * `events`: {moved, pressed, clicked, doubleClicked, dragged, dragEnded, hovered, painted, layerChosen}, each called with
 * the pane first. A handler of pressed or dragged that returns true keeps OpenSeadragon from panning.
 */
export class Pane {
  constructor(host, events) {
    const root = document.getElementById("pane-template").content.firstElementChild.cloneNode(true);
    host.append(root);
    Object.assign(this, { root, events, slide: null, layer: null, item: null, client: randomHex() });
    this.parts = Object.fromEntries([...root.querySelectorAll("[data-part]")].map((part) => [part.dataset.part, part]));
    this.moves = 0;
    this.revisions = new Map();
    this.seen = new Set();
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
    viewer.addHandler("update-viewport", () => this.#frame());
    viewer.addHandler("animation-finish", () => this.#settled());
    viewer.addHandler("tile-drawn", ({ tile, tiledImage }) => this.#drawn(tile, tiledImage));
    for (const name of ["canvas-press", "canvas-drag", "canvas-drag-end", "canvas-click", "canvas-double-click"]) {
      viewer.addHandler(name, (event) => this.#pointer(name, event));
    }
    viewer.addHandler("canvas-scroll", () => this.events.pressed(this, null));
    viewer.addHandler("canvas-pinch", () => this.events.pressed(this, null));
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

  /** Show a layer. The view stays where it is, unless the slide is another one: then all of it is shown. */
  show(slide, layer, { fresh = false } = {}) {
    const other = this.slide?.id !== slide.id;
    if (!other && this.layer === layer.id && !fresh) return;
    const key = `${slide.id}:${layer.id}`;
    if (fresh) this.revisions.set(key, (this.revisions.get(key) ?? 0) + 1);
    const outgoing = this.item;
    outgoing?.source.close();
    Object.assign(this, { slide, layer: layer.id });
    this.source = layerSource(slide, layer.id, this, this.revisions.get(key) ?? 0);
    this.viewer.addTiledImage({
      tileSource: this.source,
      success: ({ item }) => this.#arrived(item, other),
    });
    this.#describe(slide, layer);
    this.root.setAttribute("aria-label", `${layer.label} of ${slide.name}`);
  }

  #arrived(item, other) {
    const before = [];
    for (let i = 0; i < this.viewer.world.getItemCount(); i += 1) {
      const one = this.viewer.world.getItemAt(i);
      if (one !== item) before.push(one);
    }
    this.item = item;
    const remove = () => {
      window.clearTimeout(timer);
      before.splice(0).forEach((one) => this.viewer.world.removeItem(one));
    };
    const timer = window.setTimeout(remove, other ? 0 : LONGEST_HANDOVER_MS);
    item.addHandler("fully-loaded-change", (event) => event.fullyLoaded && remove());
    this.applyAdjustment();
    if (other || this.pendingView) {
      if (this.pendingView) this.setView(this.pendingView);
      else this.fit();
      this.pendingView = null;
    }
    this.events.moved(this);
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
  }

  paint() {
    if (!this.item) return;
    const canvas = this.parts.overlay;
    const { width, height } = this.view();
    const ratio = window.devicePixelRatio || 1;
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    this.events.painted(this, context);
  }

  #showScale() {
    const { scale } = this.view();
    const bar = scaleBar(this.slide.microns_per_pixel / scale, Math.min(SCALE_BAR, this.root.clientWidth / 3));
    this.parts.scale.style.width = `${bar.pixels}px`;
    this.parts.scale.dataset.text = bar.text;
    this.parts.scale.setAttribute("aria-label", `Scale bar: ${bar.text}`);
  }

  #drawn(tile, tiledImage) {
    if (tiledImage === this.item) this.seen.add(this.source.provenance(tile.getUrl()));
  }

  #showSource() {
    if (this.seen.size === 0) return;
    const { state, text } = describeSource(this.layerFacts(), this.seen);
    this.seen.clear();
    this.provenance = state;
    if (this.parts.source.textContent !== text) this.parts.source.textContent = text;
    this.parts.source.dataset.state = state;
  }

  #describe(slide, layer) {
    this.parts.stain.textContent = caption(slide, layer);
    this.parts.stain.dataset.kind = layer.kind;
    this.parts.source.textContent = "";
  }

  layerFacts() {
    return this.slide.layers.find((one) => one.id === this.layer);
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
    if (this.item) this.viewer.drawer.canvas.style.filter = filterFor(this.layer);
  }

  /** The slide point at a place on the screen, and back, for drawing and snapshots. */
  toScreen(point) {
    return toScreen(this.view(), point);
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
