// Annotations of the slide: edited with undo, saved automatically.

import { readAnnotations, writeAnnotations } from "./api.js";
import { uuid } from "./ids.js";
import { merge } from "./merge.js";

const SAVE_AFTER_MS = 700;
const MAX_UNDO_STEPS = 200;

export class Annotations {
  /**
   * `changed(state)` is called after every change: state is "saved", "saving", "unsaved", "merged" or "failed".
   * "merged": they were changed elsewhere too; both versions are kept and saved next. `problem` says what failed.
   */
  constructor(changed) {
    Object.assign(this, { changed, slide: null, selected: null, state: "saved", problem: "" });
    this.#clear();
  }

  async open(slide) {
    await this.flush();
    Object.assign(this, { slide, selected: null });
    this.#clear();
    try {
      await this.#reload(slide);
      if (this.slide === slide) this.#setState("saved");
    } catch (error) {
      if (this.slide === slide) this.#fail(error);
    }
  }

  /** `saved` are the features of the file at `version`. */
  #clear() {
    Object.assign(this, { features: [], past: [], future: [], saved: [], version: null });
  }

  get collection() {
    return { type: "FeatureCollection", features: this.features };
  }

  get selectedFeature() {
    return this.features.find((one) => one.id === this.selected) ?? null;
  }

  select(id) {
    this.selected = id;
    this.changed(this.state);
  }

  add(feature) {
    this.#setFeatures([...this.features, feature]);
    this.select(feature.id);
  }

  /** `together`: a further step of the same drag, undone together with it. */
  replace(feature, together = false) {
    this.#setFeatures(this.features.map((one) => (one.id === feature.id ? feature : one)), together);
  }

  rename(id, name) {
    const feature = this.features.find((one) => one.id === id);
    if (feature && feature.properties.name !== name) this.replace({ ...feature, properties: { ...feature.properties, name } });
  }

  remove(id) {
    if (!this.features.some((one) => one.id === id)) return;
    if (this.selected === id) this.selected = null;
    this.#setFeatures(this.features.filter((one) => one.id !== id));
  }

  undo() {
    this.#step(this.past, this.future);
  }

  redo() {
    this.#step(this.future, this.past);
  }

  #step(from, to) {
    if (from.length === 0) return;
    to.push(this.features);
    this.features = from.pop();
    this.#saveSoon();
  }

  #setFeatures(features, together = false) {
    if (!together) this.past.push(this.features);
    if (this.past.length > MAX_UNDO_STEPS) this.past.shift();
    this.future = [];
    this.features = features;
    this.#saveSoon();
  }

  #setState(state) {
    this.state = state;
    this.changed(state);
  }

  #saveSoon() {
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.#save(), SAVE_AFTER_MS);
    this.#setState("unsaved");
  }

  /** Save at once what is not saved yet. */
  async flush() {
    if (this.state === "unsaved") {
      window.clearTimeout(this.timer);
      await this.#save();
    }
  }

  async #save() {
    if (this.saving) {
      await this.saving;
      if (this.state !== "unsaved") return;
    }
    this.saving = this.#write(this.slide);
    await this.saving;
    this.saving = null;
  }

  async #write(slide) {
    this.#setState("saving");
    try {
      if (!this.version) await this.#reload(slide);
      const sent = this.features;
      const version = await writeAnnotations(slide, this.collection, this.version);
      if (this.slide !== slide) return;
      if (version === null) {
        await this.#reload(slide);
        if (this.slide !== slide) return;
        this.#setState("merged");
        this.#saveSoon();
      } else {
        Object.assign(this, { version, saved: sent });
        this.#setState(this.features === sent ? "saved" : "unsaved");
      }
    } catch (error) {
      if (this.slide !== slide) return;
      this.#fail(error);
      this.timer = window.setTimeout(() => this.#save(), 5 * SAVE_AFTER_MS);
    }
  }

  #fail(error) {
    this.problem = error.message;
    this.#setState("failed");
  }

  /** Load what is saved and merge it into what this page has, also into the states that can be undone to. */
  async #reload(slide) {
    const { collection, version } = await readAnnotations(slide);
    if (this.slide !== slide) return;
    const theirs = identified(collection.features);
    const merged = (features) => merge(this.saved, features, theirs);
    const [features, past, future] = [merged(this.features), this.past.map(merged), this.future.map(merged)];
    Object.assign(this, { features, past, future, saved: theirs, version });
  }
}

/** Features with ids that differ; other programs may leave them out. */
function identified(features) {
  const seen = new Set([null, undefined]);
  return features.map((feature) => {
    const id = seen.has(feature.id) ? uuid() : feature.id;
    seen.add(id);
    return { ...feature, id };
  });
}
