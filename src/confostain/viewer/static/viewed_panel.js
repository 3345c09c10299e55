// The panel of the viewed area: recording while the page is looked at, the map of each slide, its shares and its export.

import { readTissue } from "./api.js";
import { download, fileName } from "./snapshot.js";
import { magnificationAt, magnificationText } from "./units.js";
import { ViewRecorder, ViewedSlide, isView, viewsInSight } from "./viewed.js";
import { ViewedMap, css, viewsAsCsv } from "./viewed_map.js";

const STEP_MS = 250;
const byId = (id) => document.getElementById(id);

export class Viewed {
  /** `repaint()` is called when the map has changed, or is switched. */
  constructor(stage, curtain, repaint) {
    Object.assign(this, { stage, curtain, repaint, shown: false, slides: new Map(), slide: null });
    this.recorder = new ViewRecorder((slide, feature, more) => this.#seen(slide, feature, more));
    const now = () => performance.now() / 1000;
    for (const name of ["pointerdown", "pointermove", "wheel", "keydown", "touchstart"]) {
      document.addEventListener(name, () => this.recorder.touch(now()), { passive: true });
    }
    this.recorder.touch(now());
    setInterval(() => this.recorder.step(now(), document.visibilityState === "visible" ? viewsInSight(stage, curtain) : []), STEP_MS);
    byId("viewed-csv").addEventListener("click", () => this.#export("csv"));
    byId("viewed-geojson").addEventListener("click", () => this.#export("geojson"));
  }

  /** {views, map} of a slide; the map is null until the tissue mask is known. */
  #of(slide) {
    if (!this.slides.has(slide.id)) {
      const entry = { map: null, views: new ViewedSlide(slide, (newer) => this.#read(entry, newer)) };
      this.slides.set(slide.id, entry);
      readTissue(slide).then((tissue) => this.#makeMap(entry, tissue), () => this.#makeMap(entry, null));
    }
    return this.slides.get(slide.id);
  }

  #makeMap(entry, tissue) {
    entry.hasTissue = tissue !== null;
    entry.map = new ViewedMap(entry.views.slide, tissue);
    this.#read(entry, [...entry.views.views.values()]);
  }

  #read(entry, features) {
    if (entry.map) features?.filter(isView).forEach((one) => entry.map.add(one, one.properties.view.seconds));
    this.draw();
  }

  #seen(slide, feature, more) {
    const { views, map } = this.#of(slide);
    views.record(feature);
    map?.add(feature, more);
    this.draw();
  }

  /** Show the panel of a slide. */
  show(slide) {
    this.slide = slide;
    this.#of(slide);
    this.draw();
  }

  toggle() {
    this.shown = !this.shown;
    byId("viewed-show").setAttribute("aria-pressed", String(this.shown));
    this.repaint();
  }

  paint(slide, context, view) {
    if (this.shown) this.#of(slide).map?.paint(context, view);
  }

  legend(slide) {
    const { map } = this.#of(slide);
    return this.shown && map ? ["Not seen", ...map.bands.names].map((text, band) => ({ swatch: css(band), text })) : [];
  }

  /** Says what is known of the level-0 point under the pointer. */
  hover(slide, point) {
    if (byId("viewed").hidden) return;
    const { seconds, resolution } = this.#of(slide).map?.at(point) ?? { seconds: 0 };
    const magnification = slide.microns_per_pixel ? `up to ${magnificationText(magnificationAt(resolution))}` : `down to ${resolution?.toPrecision(2)} px per screen px`;
    byId("viewed-here").textContent = seconds > 0 ? `Under the pointer: ${durationText(seconds)}, ${magnification}` : "Under the pointer: not seen";
  }

  draw() {
    if (this.shown) this.repaint();
    if (!this.slide || byId("viewed").hidden) return;
    const { views, map, hasTissue } = this.#of(this.slide);
    if (!map) return;
    const shares = map.shares();
    byId("viewed-share").textContent = `${hasTissue ? "Tissue" : "Slide"} seen: ${Math.floor(100 * (1 - shares[0]) + 1e-6)} %`;
    byId("viewed-legend").replaceChildren(...["Not seen", ...map.bands.names].map((name, i) => rowOf(i, name, shares[i], i ? map.times[i - 1] : null)));
    byId("viewed-kept").textContent = keptText(views);
  }

  flush() {
    return Promise.all([...this.slides.values()].filter(({ views }) => views.unsaved.size > 0).map(({ views }) => views.save()));
  }

  #export(form) {
    const features = [...this.#of(this.slide).views.views.values()].filter(isView);
    const text = form === "csv" ? viewsAsCsv(features) : JSON.stringify({ type: "FeatureCollection", features }, null, 1);
    download(new Blob([text], { type: form === "csv" ? "text/csv" : "application/geo+json" }), `${fileName(this.slide.name)}-viewed.${form}`);
  }
}

function rowOf(band, name, share, seconds) {
  const row = document.createElement("tr");
  const swatch = document.createElement("i");
  swatch.style.background = css(band);
  const label = Object.assign(document.createElement("th"), { scope: "row" });
  label.append(swatch, name);
  row.append(label, ...[`${(100 * share).toFixed(1)} %`, seconds === null ? "" : durationText(seconds)].map((textContent) => Object.assign(document.createElement("td"), { textContent })));
  return row;
}

const durationText = (seconds) => (seconds < 100 ? `${seconds.toFixed(0)} s` : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`);

function keptText({ state, problem, kept, unsaved }) {
  if (state === "reading") return "Reading the earlier views.";
  if (!kept) return "This browser cannot keep the record: export it before you leave the page.";
  if (state === "failed" && unsaved.size > 0) return `Kept in this browser only: ${problem}`;
  return "Kept in this browser and in a file beside the slide.";
}
