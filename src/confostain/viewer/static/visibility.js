// What is hidden on the page, by class or one by one. Nothing of it is written to files.

import { classOf } from "./classes.js";

const classes = new Set();
const features = new Set(); // ids

const classKey = (feature) => classOf(feature)?.name ?? "";

export const isVisible = (feature) => !features.has(feature.id) && !classes.has(classKey(feature));
export const isClassHidden = (name) => classes.has(name);
export const isHiddenAlone = (id) => features.has(id);

const toggled = (set, value) => (set.delete(value) ? set : set.add(value));
export const toggleClass = (name) => toggled(classes, name);
export const toggleFeature = (id) => toggled(features, id);

/** Show what was just drawn, and its class. */
export function reveal(feature) {
  features.delete(feature.id);
  classes.delete(classKey(feature));
}

/** The features that are shown. */
export const shown = (all) => (classes.size + features.size === 0 ? all : all.filter(isVisible));

/** "2 annotations hidden", "" if none is. */
export function hiddenText(all) {
  const count = all.length - shown(all).length;
  return count === 0 ? "" : `${count} ${count === 1 ? "annotation" : "annotations"} hidden`;
}
