// Overlays of slides: layers that are switched on and off, with opacity and a legend, and a list of what they found.

import { listOverlays, overlayFeatures, overlayPicture } from "./api.js";
import { toScreen } from "./geometry.js";
import { css, featureLayers, mapLayers } from "./overlay_layers.js";

const MOST_FINDINGS = 300; // listed
const byId = (id) => document.getElementById(id);

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

export class Overlays {
  /** `events`: {changed(), go(slide, point)}: something else is to be painted; show a place. */
  constructor(events) {
    Object.assign(this, { events, slides: new Map(), slide: null, chosen: null });
  }

  #of(slide) {
    if (!this.slides.has(slide.id)) this.slides.set(slide.id, { layers: [], problems: [] });
    return this.slides.get(slide.id);
  }

  /** Look for the overlays of a slide, and show the panel for it. What was switched stays so. */
  async show(slide) {
    this.slide = slide;
    const own = this.#of(slide);
    const before = new Map(own.layers.map((layer) => [layer.key, layer]));
    const [layers, problems] = await this.#read(slide);
    for (const layer of layers) {
      const { on, opacity } = before.get(layer.key) ?? layer;
      Object.assign(layer, { on, opacity });
    }
    Object.assign(own, { layers, problems });
    await Promise.all(layers.filter((layer) => layer.on).map((layer) => this.#ready(own, layer)));
    this.#changed();
  }

  async #read(slide) {
    const [layers, problems] = [[], []];
    try {
      for (const overlay of await listOverlays(slide.id)) {
        if (overlay.problem) problems.push(overlay.problem);
        else if (overlay.kind === "map") layers.push(...mapLayers(overlay, (channel) => overlayPicture(slide.id, overlay.id, channel)));
        else await overlayFeatures(slide.id, overlay.id).then((found) => layers.push(...featureLayers(overlay, found))).catch((error) => problems.push(`${overlay.name}: ${error.message}`));
      }
    } catch (error) {
      problems.push(error.message);
    }
    return [layers, problems];
  }

  async #ready(own, layer) {
    try {
      await layer.ready?.();
    } catch (error) {
      layer.on = false;
      layer.loading = null;
      own.problems.push(error.message);
    }
  }

  #changed() {
    this.draw();
    this.events.changed();
  }

  async #switch(layer, on) {
    layer.on = on;
    if (on) await this.#ready(this.#of(this.slide), layer);
    this.#changed();
  }

  // Painting ---------------------------------------------------------------------------------------------------------

  paint(slide, context, view) {
    const layers = this.#of(slide).layers.filter((layer) => layer.on);
    const maps = layers.filter((layer) => layer.channel);
    for (const layer of [...maps, ...layers.filter((one) => !one.channel)]) layer.paint(context, view); // no map hides a point
    if (this.chosen?.slide === slide.id) ring(context, view, this.chosen.at);
  }

  /** What the colours of the layers in sight mean: {swatch or gradient, text} each. */
  legend(slide) {
    return this.#of(slide).layers.filter((layer) => layer.on).flatMap((layer) => layer.legend());
  }

  // Panel ------------------------------------------------------------------------------------------------------------

  hover(slide, point) {
    if (byId("overlays").hidden) return;
    byId("overlay-here").textContent = this.#of(slide).layers.filter((layer) => layer.on && layer.said).map((layer) => layer.said(point)).filter(Boolean).join("; ");
  }

  draw() {
    if (!this.slide) return;
    const { layers, problems } = this.#of(this.slide);
    byId("overlay-none").hidden = layers.length + problems.length > 0;
    byId("overlay-problems").replaceChildren(...problems.map((textContent) => element("li", { textContent })));
    byId("overlay-list").replaceChildren(...layers.map((layer, i) => this.#row(layer, i)));
    this.#drawFindings();
  }

  #row(layer, i) {
    const box = element("input", { type: "checkbox", checked: layer.on, id: `overlay-${i}` });
    box.addEventListener("change", () => this.#switch(layer, box.checked));
    const slider = element("input", { type: "range", min: 0.1, max: 1, step: 0.05, value: layer.opacity });
    slider.setAttribute("aria-label", `Opacity of ${layer.name}`);
    slider.addEventListener("input", () => {
      layer.opacity = Number(slider.value);
      this.events.changed();
    });
    const legend = layer.legend().map(({ swatch, gradient, text }) => {
      const mark = element("i");
      mark.style.background = swatch ?? `linear-gradient(to right, ${gradient.map(([r, g, b, a]) => `rgb(${r} ${g} ${b} / ${a / 255})`).join(", ")})`;
      if (gradient) mark.style.backgroundColor = "#fff"; // as on glass
      mark.classList.toggle("gradient", Boolean(gradient));
      return element("small", {}, mark, gradient ? "0 to 1" : text);
    });
    return element("li", {}, element("label", { htmlFor: box.id }, box, element("b", { textContent: layer.name }), element("small", { textContent: layer.overlay })), ...legend, slider);
  }

  /** The findings of the layers that are switched on, those with the largest measure first. */
  findings() {
    const all = this.#of(this.slide).layers.filter((layer) => layer.on).flatMap((layer) => layer.findings);
    return all.sort((a, b) => (b.measure?.value ?? -Number.MAX_VALUE) - (a.measure?.value ?? -Number.MAX_VALUE));
  }

  #drawFindings() {
    const found = this.findings();
    const items = found.slice(0, MOST_FINDINGS).map((finding) => {
      const swatch = element("i");
      swatch.style.background = css(finding.layer.colour);
      const said = finding.measure ? `${finding.measure.name} ${Number(finding.measure.value.toPrecision(4))}` : "";
      const button = element("button", { type: "button", className: "plain small" }, swatch, element("span", { textContent: finding.name }), element("output", { textContent: said }));
      button.addEventListener("click", () => this.go(finding));
      return element("li", {}, button);
    });
    if (found.length > items.length) items.push(element("li", { className: "quiet", textContent: `and ${(found.length - items.length).toLocaleString("en-US")} more` }));
    byId("overlay-findings").replaceChildren(...items);
  }

  go(finding) {
    this.chosen = { slide: this.slide.id, at: finding.at };
    this.events.go(this.slide, finding.at);
    this.events.changed();
  }

  /** The next finding of the list; false if there is none. */
  next() {
    const found = this.slide ? this.findings() : [];
    if (found.length === 0) return false;
    const last = found.findIndex(({ at }) => this.chosen?.slide === this.slide.id && String(at) === String(this.chosen.at));
    this.go(found[(last + 1) % found.length]);
    return true;
  }
}

function ring(context, view, at) {
  context.save();
  context.beginPath();
  context.arc(...toScreen(view, at), 16, 0, 2 * Math.PI);
  for (const [strokeStyle, lineWidth] of [["rgba(0, 0, 0, 0.8)", 5], ["#fff", 2.5]]) {
    Object.assign(context, { strokeStyle, lineWidth });
    context.stroke();
  }
  context.restore();
}
