// List of slides with thumbnails, and of what watched folders hold besides, updated when slides are added.

import { listRefusals, listSlides, onSlidesChanged, thumbnail } from "./api.js";
import { caption } from "./words.js";

export class SlideList {
  /** `chosen(slide)` when one is picked; `changed(slides)` when the list has changed; `refused` is a details element. */
  constructor(list, refused, { chosen, changed }) {
    Object.assign(this, { list, refused, chosen, changed, slides: [], known: null, current: null });
  }

  async start() {
    await this.#load();
    onSlidesChanged(() => this.#load());
  }

  async #load() {
    const [slides, refusals] = await Promise.all([listSlides(), listRefusals()]);
    this.slides = slides;
    this.#drawRefusals(refusals);
    const fresh = this.known ? this.slides.filter((slide) => !this.known.has(slide.id)) : [];
    this.known = new Set(this.slides.map((slide) => slide.id));
    this.fresh = new Set([...(this.fresh ?? []), ...fresh.map((slide) => slide.id)]);
    this.#draw();
    this.changed(this.slides, fresh);
  }

  find(id) {
    return this.slides.find((slide) => slide.id === id) ?? null;
  }

  mark(id) {
    this.current = id;
    this.fresh?.delete(id);
    this.#draw();
  }

  next(step) {
    if (this.slides.length === 0) return;
    const at = this.slides.findIndex((slide) => slide.id === this.current);
    this.chosen(this.slides[(at + step + this.slides.length) % this.slides.length]);
  }

  #draw() {
    this.list.replaceChildren(...this.slides.map((slide) => this.#entry(slide)));
  }

  #drawRefusals(refusals) {
    const [summary, list] = this.refused.children;
    this.refused.hidden = refusals.length === 0;
    summary.textContent = `Not shown: ${refusals.length}`;
    list.replaceChildren(...refusals.map(({ name, reason }) => {
      const title = Object.assign(document.createElement("b"), { textContent: name });
      const item = document.createElement("li");
      item.append(title, Object.assign(document.createElement("small"), { textContent: reason }));
      return item;
    }));
  }

  #entry(slide) {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "slide" });
    button.classList.toggle("new", this.fresh?.has(slide.id) ?? false);
    button.setAttribute("aria-current", String(slide.id === this.current));
    const picture = document.createElement("img");
    Object.assign(picture, { src: thumbnail(slide.id, preferredLayer(slide).id), alt: "", loading: "lazy" });
    const text = document.createElement("span");
    const name = document.createElement("b");
    name.textContent = slide.name;
    const facts = document.createElement("small");
    const mpp = slide.microns_per_pixel;
    const [w, h] = [slide.width, slide.height].map((pixels) => (mpp ? ((pixels * mpp) / 1000).toFixed(1) : pixels));
    facts.textContent = `${slide.kind === "histology" ? `${caption(slide, slide.layers[0])}, ` : ""}${w} × ${h} ${mpp ? "mm" : "px, pixel size unknown"}`;
    text.append(name, facts);
    button.append(picture, text);
    button.addEventListener("click", () => this.chosen(slide));
    const item = document.createElement("li");
    item.append(button);
    return item;
  }
}

/** What a slide is opened with: its first stain, else its first layer. */
export function preferredLayer(slide) {
  return slide.layers.find((layer) => layer.kind === "stain") ?? slide.layers[0];
}

/** What the panes of a mode show at first: the layer in view with the stain, and a real H&E where there is one. */
export function preferredPanes(mode, slide, slides, current = null) {
  const stain = { slide, layer: preferredLayer(slide) };
  if (mode === "single") return [current ? { slide, layer: current } : stain];
  const other = current && current.id !== stain.layer.id ? current : slide.layers.find((layer) => layer.id === "fluorescence");
  const pair = [{ slide, layer: other ?? slide.layers[0] }, stain];
  const histology = slides.find((one) => one.kind === "histology" && one.id !== slide.id);
  return mode === "side" && histology ? [...pair, { slide: histology, layer: histology.layers[0] }] : pair;
}
