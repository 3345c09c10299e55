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
    const drawn = JSON.stringify(slides);
    if (this.drawn !== drawn) this.list.replaceChildren(...slides.map((slide) => this.#entry(slide)));
    this.drawn = drawn;
    this.#showState();
    this.changed(this.slides, fresh);
  }

  find(id) {
    return this.slides.find((slide) => slide.id === id) ?? null;
  }

  mark(id) {
    this.current = id;
    this.fresh?.delete(id);
    this.#showState();
  }

  /** Fetch the thumbnail of a slide again: it was an approximate one. */
  renew(slide) {
    const picture = this.list.querySelector(`[data-slide="${slide.id}"] img`);
    if (picture) picture.src = `${thumbnail(slide.id, preferredLayer(slide).id)}?computed`;
  }

  next(step) {
    if (this.slides.length === 0) return;
    const at = this.slides.findIndex((slide) => slide.id === this.current);
    this.chosen(this.slides[(at + step + this.slides.length) % this.slides.length]);
  }

  #showState() {
    for (const button of this.list.querySelectorAll("button")) {
      button.classList.toggle("new", this.fresh?.has(button.dataset.slide) ?? false);
      button.setAttribute("aria-current", String(button.dataset.slide === this.current));
    }
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
    button.dataset.slide = slide.id;
    const picture = pictureOf(slide);
    const text = document.createElement("span");
    const name = document.createElement("b");
    name.textContent = slide.name;
    const facts = document.createElement("small");
    const mpp = slide.microns_per_pixel;
    const [w, h] = [slide.width, slide.height].map((pixels) => (mpp ? ((pixels * mpp) / 1000).toFixed(1) : pixels));
    facts.textContent = `${slide.kind === "histology" ? `${caption(slide, slide.layers[0])}, ` : ""}${w} × ${h} ${mpp ? "mm" : "px, pixel size unknown"}`;
    if (slide.problem) Object.assign(facts, { className: "problem", textContent: `cannot be shown: ${slide.problem}` });
    text.append(name, facts);
    button.append(picture, text);
    button.addEventListener("click", () => this.chosen(slide));
    const item = document.createElement("li");
    item.append(button);
    return item;
  }
}

/** The thumbnail, above a mark that is seen until it has come, or instead of it. */
function pictureOf(slide) {
  const frame = Object.assign(document.createElement("span"), { className: "thumbnail" });
  frame.innerHTML = '<svg class="icon" aria-hidden="true"><use href="static/icons.svg#picture"></use></svg>';
  const picture = Object.assign(document.createElement("img"), { alt: "", loading: "lazy" });
  picture.addEventListener("load", () => frame.classList.add("loaded"));
  picture.addEventListener("error", () => picture.remove());
  picture.src = thumbnail(slide.id, preferredLayer(slide).id);
  frame.append(picture);
  return frame;
}

/** What a slide is opened with: its first stain, else its first layer. */
export function preferredLayer(slide) {
  return slide.layers.find((layer) => layer.kind === "stain") ?? slide.layers[0];
}

const ROOM_FOR_THREE = 1200; // CSS pixels of the window's width

/** What the panes of a mode show at first: the layer in view with the stain, and a real H&E where there is one. */
export function preferredPanes(mode, slide, slides, current = null) {
  const stain = { slide, layer: preferredLayer(slide) };
  if (mode === "single") return [current ? { slide, layer: current } : stain];
  const other = current && current.id !== stain.layer.id ? current : slide.layers.find((layer) => layer.id === "fluorescence");
  const pair = [{ slide, layer: other ?? slide.layers[0] }, stain];
  const histology = slides.find((one) => one.kind === "histology" && one.id !== slide.id);
  if (mode !== "side" || !histology) return pair;
  const others = window.innerWidth < ROOM_FOR_THREE ? [stain] : pair;
  return [...others, { slide: histology, layer: histology.layers[0] }];
}
