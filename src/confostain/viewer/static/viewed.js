// Views of slides that somebody looked at: recorded while they stand still, kept in the browser and in a file beside the
// slide. A view is a GeoJSON feature: what the window showed as a polygon in level-0 pixels, with
// properties.view = {started, seconds, um_per_screen_px, px_per_screen_px, canvas, rotation, flipped, layers}.

import { readViewed, writeViewed } from "./api.js";
import { toSlide } from "./geometry.js";
import { uuid } from "./ids.js";

export const STAYS_S = 1; // s that a view must stand: one that is shorter was passed by
const IDLE_S = 60; // s after the last movement of pointer or key: longer, and nobody may be looking
const LONGEST_STEP_S = 1; // s between two steps that count: the machine may have slept
const SAVE_AFTER_MS = 5000;
const KEY = "confostain.viewed.";
const COLOUR = [0, 158, 115];

/** What a pane shows between the columns `left` and `right`, in CSS pixels. */
export function viewOf(pane, left, right) {
  const view = pane.view();
  const mpp = pane.slide.microns_per_pixel;
  const corners = [[left, 0], [right, 0], [right, view.height], [left, view.height]].map((place) => toSlide(view, place).map((value) => Math.round(value * 10) / 10));
  const layer = pane.drawnFacts().id + (pane.provenance === "preview" ? " (approximate)" : "");
  return {
    slide: pane.slide, corners, layers: [layer], canvas: [Math.round(right - left), Math.round(view.height)], rotation: view.rotation, flipped: view.flipped,
    px_per_screen_px: 1 / view.scale, um_per_screen_px: mpp ? mpp / view.scale : null,
  };
}

/** The views in sight, once for each place: layers that show the same place belong to one view. */
export function viewsInSight(stage, curtain) {
  if (!stage.isComplete()) return [];
  const places = new Map();
  for (const [i, pane] of stage.panes.entries()) {
    const { width } = pane.view();
    const share = stage.mode === "curtain" ? [[0, curtain.share], [curtain.share, 1]][i] : [0, 1];
    if (share[1] - share[0] < 0.01) continue;
    const view = viewOf(pane, share[0] * width, share[1] * width);
    const key = JSON.stringify([view.slide.id, view.corners]);
    if (places.has(key)) places.get(key).layers.push(...view.layers);
    else places.set(key, view);
  }
  return [...places.values()];
}

export class ViewRecorder {
  /** `seen(slide, feature, more)` is called whenever a view has been looked at `more` seconds longer. */
  constructor(seen) {
    Object.assign(this, { seen, current: new Map(), before: null, active: -Infinity });
  }

  /** Somebody moved a pointer or pressed a key, at `now` in s. */
  touch(now) {
    this.active = now;
  }

  /** `views` are in sight at `now`, in s; none while a picture is loading: the views before it then go on. */
  step(now, views) {
    const passed = Math.min(LONGEST_STEP_S, now - (this.before ?? now));
    this.before = now;
    if (views.length === 0 || now - this.active > IDLE_S) return;
    const keyed = views.map((view) => [JSON.stringify([view.slide.id, view.corners, view.layers]), view]);
    this.current = new Map(keyed.map(([key, view]) => [key, this.current.get(key) ?? { view, id: uuid(), started: new Date().toISOString(), seconds: -passed, told: 0 }]));
    for (const record of this.current.values()) {
      record.seconds += passed;
      if (record.seconds < STAYS_S) continue;
      this.seen(record.view.slide, featureOf(record), record.seconds - record.told);
      record.told = record.seconds;
    }
  }
}

function featureOf({ view, id, started, seconds }) {
  const { corners, slide, ...rest } = view;
  const rounded = Math.round(seconds * 100) / 100;
  const unit = view.um_per_screen_px ? ["µm per screen pixel", view.um_per_screen_px] : ["px per screen pixel", view.px_per_screen_px];
  return {
    type: "Feature", id, geometry: { type: "Polygon", coordinates: [[...corners, corners[0]]] },
    properties: {
      objectType: "annotation", name: `${rounded.toFixed(0)} s`, classification: { name: "Viewed", color: COLOUR }, isLocked: true,
      measurements: { Seconds: rounded, [unit[0]]: unit[1] }, view: { started, seconds: rounded, ...rest },
    },
  };
}

/** Whether a feature is a view as this page records it: others in the file are kept and not shown. */
export function isView({ geometry, properties }) {
  const { seconds, px_per_screen_px: px, layers, canvas } = properties?.view ?? {};
  return geometry?.type === "Polygon" && seconds > 0 && px > 0 && Array.isArray(layers) && Array.isArray(canvas) && !Number.isNaN(Date.parse(properties.view.started));
}

/**
 * The views of one slide. `state` is "reading", "saved", "unsaved" or "failed"; `problem` says what failed; `kept` is false
 * where the browser cannot keep what the server has not.
 */
export class ViewedSlide {
  /** `changed(more)`: with the features that were read, or null. */
  constructor(slide, changed) {
    Object.assign(this, { slide, changed, views: new Map(), unsaved: new Map(), version: null, state: "reading", problem: "", kept: true, timer: null });
    this.#take(stored(slide.id), true);
    this.ready = this.save();
  }

  record(feature) {
    this.views.set(feature.id, feature);
    this.unsaved.set(feature.id, feature);
    this.kept = keep(this.slide.id, this.unsaved);
    this.timer ??= setTimeout(() => this.save(), SAVE_AFTER_MS);
  }

  /** Of two records of a view, the longer one counts. */
  #take(features, isUnsaved = false) {
    const seconds = (feature) => (feature && isView(feature) ? feature.properties.view.seconds : 0);
    const newer = features.filter((one) => one?.id && (!this.views.has(one.id) || seconds(one) > seconds(this.views.get(one.id))));
    newer.forEach((one) => this.views.set(one.id, one));
    if (isUnsaved) newer.forEach((one) => this.unsaved.set(one.id, one));
    return newer;
  }

  /** Writes what is new into the file beside the slide, together with what others wrote there. */
  async save() {
    clearTimeout(this.timer);
    this.timer = "saving"; // no other one meanwhile
    let newer = null;
    try {
      let written = this.version !== null && this.unsaved.size === 0;
      while (!written) {
        if (this.version === null) {
          const { collection, version } = await readViewed(this.slide.id);
          newer = [...(newer ?? []), ...this.#take(collection.features)];
          this.version = version;
        }
        const sent = new Map(this.unsaved);
        if (sent.size > 0) this.version = await writeViewed(this.slide.id, { type: "FeatureCollection", features: [...this.views.values()] }, this.version);
        written = this.version !== null;
        if (written) sent.forEach((feature, id) => this.unsaved.get(id) === feature && this.unsaved.delete(id));
      }
      Object.assign(this, { state: "saved", problem: "" });
    } catch (error) {
      Object.assign(this, { state: "failed", problem: error.message });
    }
    this.kept = keep(this.slide.id, this.unsaved);
    this.timer = null;
    this.changed(newer);
  }
}

function stored(slide) {
  try {
    const features = JSON.parse(localStorage.getItem(KEY + slide));
    return Array.isArray(features) ? features.filter((one) => one && isView(one)) : [];
  } catch {
    return []; // no access to storage, or something else lies there
  }
}

/** Keep what the server has not; false if the browser keeps nothing. */
function keep(slide, unsaved) {
  try {
    if (unsaved.size > 0) localStorage.setItem(KEY + slide, JSON.stringify([...unsaved.values()]));
    else localStorage.removeItem(KEY + slide);
    return true;
  } catch {
    return false; // full, or forbidden
  }
}
