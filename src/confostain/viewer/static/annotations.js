// Annotations of the slide: edited with undo, saved automatically.

import { readAnnotations, writeAnnotations } from "./api.js";

const SAVE_AFTER_MS = 700;
const MAX_UNDO_STEPS = 200;

export class Annotations {
  /** `changed(state)` is called after every change: state is "saved", "saving", "unsaved", "conflict" or "failed". */
  constructor(changed) {
    Object.assign(this, { changed, slide: null, features: [], selected: null, past: [], future: [], state: "saved" });
  }

  async open(slide) {
    await this.flush();
    Object.assign(this, { slide, features: [], selected: null, past: [], future: [], version: null });
    try {
      const { collection, version } = await readAnnotations(slide);
      if (this.slide !== slide) return;
      Object.assign(this, { features: collection.features, version });
      this.#setState("saved");
    } catch {
      this.#setState("failed");
    }
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
      if (!this.version) await this.#reload();
      const sent = this.features;
      const version = await writeAnnotations(slide, this.collection, this.version);
      if (this.slide !== slide) return;
      if (version === null) this.#setState("conflict");
      else {
        this.version = version;
        this.#setState(this.features === sent ? "saved" : "unsaved");
      }
    } catch {
      if (this.slide !== slide) return;
      this.#setState("failed");
      this.timer = window.setTimeout(() => this.#save(), 5 * SAVE_AFTER_MS);
    }
  }

  /** After a conflict: load what was saved elsewhere and add the features that only this page has. */
  async merge() {
    this.past.push(this.features);
    await this.#reload();
    this.#saveSoon();
  }

  async #reload() {
    const { collection, version } = await readAnnotations(this.slide);
    const theirs = new Set(collection.features.map((one) => one.id));
    this.features = [...collection.features, ...this.features.filter((one) => !theirs.has(one.id))];
    this.version = version;
  }
}
