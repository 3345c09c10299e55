// Annotations of one slide: edited with undo, saved automatically, merged with what others write.

import { readAnnotations, writeAnnotations } from "./api.js";
import { signed, touched } from "./authors.js";
import { forgetDraft, keepDraft, leftDrafts } from "./drafts.js";
import { isLocked } from "./features.js";
import { fingerprint, uuid } from "./ids.js";
import { byId, merge, mergeFeature, same } from "./merge.js";

const SAVE_AFTER_MS = 700;
const RETRY_MS = [3000, 6000, 12000, 24000];
const MAX_UNDO_STEPS = 200;
const MAX_PUBLISHED = 200; // states of one feature that are remembered until the server has acknowledged one of them

/**
 * `features` are those on the page, `base` those of the file at `version` (null until it was read), by id.
 * `conflicts` holds {before, theirs} by id: changed here and elsewhere. The page shows this side's state, the file keeps
 * theirs, until `resolve` says which one stays.
 * `state` is "reading", "saved", "unsaved", "saving" or "failed"; `problem` says what failed; `kept` is false where the
 * browser cannot keep unsaved changes beyond the page.
 */
export class AnnotationDocument {
  /** `events`: {changed(document), merged(document), failed(document), refused(reason)}. */
  constructor(slide, events) {
    Object.assign(this, { slide, events, features: [], selected: null, past: [], future: [] });
    Object.assign(this, { base: new Map(), version: null, conflicts: new Map(), published: new Map() });
    Object.assign(this, { state: "reading", problem: "", kept: true, stale: true, failures: 0, running: null });
  }

  get collection() {
    return { type: "FeatureCollection", features: this.features };
  }

  get selectedFeature() {
    return this.find(this.selected);
  }

  find(id) {
    return this.features.find((one) => one.id === id) ?? null;
  }

  // Edits ------------------------------------------------------------------------------------------------------------

  add(feature) {
    this.selected = feature.id;
    this.#edit([[feature.id, signed(feature)]]);
  }

  /**
   * Changes a feature that exists. `together`: a further step of the same drag or of the same typing, undone together
   * with it.
   */
  replace(feature, together = false) {
    if (!this.#refusesLocked(feature.id)) this.#edit([[feature.id, touched(feature)]], together);
  }

  rename(id, name, together = false) {
    const feature = this.find(id);
    if (feature && (feature.properties?.name ?? "") !== name) {
      this.replace({ ...feature, properties: { ...feature.properties, name } }, together);
    }
  }

  remove(id) {
    if (!this.find(id) || this.#refusesLocked(id)) return;
    if (this.selected === id) this.selected = null;
    this.#edit([[id, null]]);
  }

  /** A locked annotation is neither changed nor removed. QuPath writes the member of locked ones only. */
  lock(id, locked) {
    const feature = this.find(id);
    const { isLocked: _, ...rest } = feature.properties ?? {};
    this.#edit([[id, touched({ ...feature, properties: locked ? { ...rest, isLocked: true } : rest })]]);
  }

  /** Puts in features as they are, in one step; those with a known id replace it. */
  putAll(features) {
    if (features.length > 0) this.#edit(features.map((one) => [one.id, one]));
  }

  #refusesLocked(id) {
    const locked = isLocked(this.find(id));
    if (locked) this.events.refused("This annotation is locked. Unlock it in the list to change it.");
    return locked;
  }

  /** `changes` are [id, feature or null]; a step of undo holds {id, before, after, at} of each. */
  #edit(changes, together = false) {
    const here = new Map(this.features.map((one, at) => [one.id, { one, at }]));
    const step = changes.map(([id, after]) => ({ id, before: here.get(id)?.one ?? null, after, at: here.get(id)?.at ?? -1 }));
    const last = this.past.at(-1);
    if (together && last?.length === 1 && last[0].id === step[0].id) last[0].after = step[0].after;
    else this.past.push(step);
    if (this.past.length > MAX_UNDO_STEPS) this.past.shift();
    this.future = [];
    this.#set(step);
    this.#edited();
  }

  /** Puts features in their places; `at`: where one stood before it was removed. */
  #set(changes) {
    const wanted = new Map(changes.map((one) => [one.id, one]));
    const here = new Set(this.features.map(({ id }) => id));
    const features = this.features.map((one) => (wanted.has(one.id) ? wanted.get(one.id).after : one)).filter(Boolean);
    for (const { id, after, at = -1 } of changes) {
      if (after && !here.has(id)) features.splice(at >= 0 ? at : features.length, 0, after);
    }
    this.features = features;
  }

  undo() {
    this.#step(this.past, this.future);
  }

  redo() {
    this.#step(this.future, this.past);
  }

  /** Takes a step back; what was overtaken by a change elsewhere is left out. */
  #step(from, to) {
    const step = from.pop();
    if (!step) return;
    const here = byId(this.features);
    const back = step.flatMap(({ id, before, after, at }) => {
      const now = here.get(id) ?? null;
      const { feature, conflict } = mergeFeature(after, before, now);
      return conflict ? [] : [{ id, before: now, after: feature, at }];
    });
    if (back.length === 0) return this.#step(from, to);
    to.push(back);
    this.#set(back);
    this.#edited();
  }

  /** Ends a conflict: `choice` is "mine", "theirs" or "both". */
  resolve(id, choice) {
    const { theirs } = this.conflicts.get(id);
    const mine = this.find(id);
    this.conflicts.delete(id);
    if (choice !== "mine") this.#edit([[id, theirs]]);
    if (choice === "both") this.#edit([copyOf(mine)]);
    this.#edited();
  }

  // Saving -----------------------------------------------------------------------------------------------------------

  /** What the file should hold: of features in conflict, theirs. */
  #outgoing() {
    const settled = this.features.map((one) => (this.conflicts.has(one.id) ? this.conflicts.get(one.id).theirs : one));
    const removed = [...this.conflicts].filter(([id]) => !this.find(id)).map(([, { theirs }]) => theirs);
    return [...settled, ...removed].filter(Boolean);
  }

  get unsaved() {
    const wanted = this.#outgoing();
    return wanted.length !== this.base.size || wanted.some((one) => this.base.get(one.id) !== one);
  }

  #before(id) {
    return (this.conflicts.has(id) ? this.conflicts.get(id).before : this.base.get(id)) ?? null;
  }

  /** Keeps what the server has not acknowledged in the browser. */
  #keep() {
    const here = byId(this.features);
    const ids = new Set([...here.keys(), ...this.base.keys(), ...this.conflicts.keys()]);
    const changed = [...ids].filter((id) => this.conflicts.has(id) || (here.get(id) ?? null) !== this.#before(id));
    const changes = changed.map((id) => {
      const after = here.get(id) ?? null;
      this.#publish(id, [fingerprint(after)]);
      return { id, before: this.#before(id), after, published: this.published.get(id) };
    });
    this.kept = keepDraft(this.slide.id, changes);
  }

  #publish(id, states) {
    const known = this.published.get(id) ?? [];
    if (states.at(-1) !== known.at(-1)) this.published.set(id, [...known, ...states].slice(-MAX_PUBLISHED));
  }

  #edited() {
    this.#keep();
    this.state = "unsaved";
    this.#syncAfter(SAVE_AFTER_MS);
    this.events.changed(this);
  }

  #syncAfter(milliseconds) {
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.sync(), milliseconds);
  }

  /** Read the file again, as others may have written it. */
  refresh() {
    this.stale = true;
    return this.sync();
  }

  /** Save at once what is not saved yet. */
  async flush() {
    await this.running;
    if (this.unsaved) await this.sync();
  }

  /** Read what is stale, write what is unsaved; again later if that fails. */
  sync() {
    window.clearTimeout(this.timer);
    this.running ??= this.#sync().finally(() => (this.running = null));
    return this.running;
  }

  async #sync() {
    try {
      if (this.stale) await this.#read();
      while (this.unsaved && !(await this.#write())) await this.#read();
      this.failures = 0;
      if (this.unsaved) this.#syncAfter(SAVE_AFTER_MS); // edited in the meantime
      this.#setState(this.unsaved ? "unsaved" : "saved");
    } catch (error) {
      const known = this.state === "failed" && this.problem === error.message;
      this.problem = error.message;
      this.#syncAfter(RETRY_MS[Math.min(this.failures, RETRY_MS.length - 1)]);
      this.failures += 1;
      this.#setState("failed");
      if (!known && !error.lost) this.events.failed(this); // a lost server is shown by itself
    }
  }

  #setState(state) {
    this.state = state;
    this.events.changed(this);
  }

  /** Returns false if the file was changed elsewhere. */
  async #write() {
    this.#setState("saving");
    const sent = this.#outgoing();
    const version = await writeAnnotations(this.slide.id, { type: "FeatureCollection", features: sent }, this.version);
    if (version === null) return false;
    Object.assign(this, { version, base: byId(sent) });
    for (const [id, states] of this.published) {
      this.published.set(id, states.slice(states.lastIndexOf(fingerprint(this.base.get(id))) + 1));
    }
    this.#keep();
    return true;
  }

  /** Read the file and merge it into what this page has. */
  async #read() {
    const { collection, version } = await readAnnotations(this.slide.id);
    const first = this.version === null;
    const theirs = identified(collection.features);
    const ids = new Set([...this.base.keys(), ...this.conflicts.keys()]);
    const before = [...ids].map((id) => this.#before(id)).filter(Boolean);
    const { features, conflicts } = merge(before, this.features, theirs, this.published);
    const overtaken = this.unsaved && !first && !sameFeatures(features, this.features);
    Object.assign(this, { features, conflicts, base: byId(theirs), version, stale: false });
    if (first) this.#takeOver();
    this.#keep();
    if (overtaken || this.conflicts.size > 0) this.events.merged(this);
  }

  /** Merges the drafts that other pages left. */
  #takeOver() {
    const left = leftDrafts(this.slide.id);
    for (const { id, before, after, published } of left.flatMap(({ changes }) => changes)) {
      const now = this.find(id);
      const { feature, conflict } = mergeFeature(before, after, now, published);
      const again = now !== (this.base.get(id) ?? null); // by another draft: both are kept
      if (!conflict) this.#set([{ id, after: feature }]);
      else if (!again) this.#set([{ id, after }]);
      else if (after) this.#set([copyOf(after)].map(([other, copy]) => ({ id: other, after: copy })));
      if (conflict && !again) this.conflicts.set(id, { before, theirs: now });
      this.#publish(id, published);
    }
    this.#keep();
    if (this.kept) left.forEach(({ key }) => forgetDraft(key));
  }
}

function sameFeatures(some, others) {
  const known = byId(others);
  return some.length === others.length && some.every((one) => same(one, known.get(one.id)));
}

function copyOf(feature) {
  const id = uuid();
  return [id, { ...feature, id }];
}

/** Features with ids that differ, the same at every reading; other programs may leave them out. */
function identified(features) {
  const seen = new Set([null, undefined]);
  return features.map((feature) => {
    let id = feature.id;
    for (let count = 0; seen.has(id); count += 1) id = `confostain-${fingerprint([count, feature]).toString(36)}`;
    seen.add(id);
    return id === feature.id ? feature : { ...feature, id };
  });
}
