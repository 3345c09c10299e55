// Three-way merge of annotations that were changed here and elsewhere. Pure.

import { fingerprint } from "./ids.js";

const CONFLICT = Symbol("changed differently on both sides");

export const byId = (features) => new Map(features.map((feature) => [feature.id, feature]));
export const same = (one, other) => one === other || JSON.stringify(one) === JSON.stringify(other);

/**
 * One feature, null where it does not exist, changed here and elsewhere, given what both started from. Changes of
 * different members are joined; {feature: mine, conflict: true} where both changed the same one, or one side removed it.
 * `published` holds fingerprints of what this side may have written since: the other side then has an earlier state of
 * this side, not a change of its own.
 */
export function mergeFeature(before, mine, theirs, published = []) {
  if (same(mine, theirs)) return { feature: theirs, conflict: false };
  if (published.includes(fingerprint(theirs)) || same(theirs, before)) return { feature: mine, conflict: false };
  if (same(mine, before)) return { feature: theirs, conflict: false };
  const joined = mine && theirs ? mergeMembers(before ?? {}, mine, theirs) : CONFLICT;
  return joined === CONFLICT ? { feature: mine, conflict: true } : { feature: joined, conflict: false };
}

function mergeMembers(before, mine, theirs) {
  const joined = {};
  for (const key of new Set([...Object.keys(theirs), ...Object.keys(mine)])) {
    const value = mergeMember(key, before[key], mine[key], theirs[key]);
    if (value === CONFLICT) return CONFLICT;
    if (value !== undefined) joined[key] = value;
  }
  return joined;
}

function mergeMember(key, before, mine, theirs) {
  if (same(mine, theirs) || same(mine, before)) return theirs;
  if (same(theirs, before)) return mine;
  if (!mine || !theirs) return CONFLICT;
  if (key === "metadata") return mergeMembers(before ?? {}, ...withLastChange(mine, theirs));
  return key === "properties" ? mergeMembers(before ?? {}, mine, theirs) : CONFLICT;
}

/** Metadata of both sides with who changed last, and when: two changes at different times are no conflict. */
function withLastChange(...sides) {
  const { changed, changedBy } = sides.reduce((last, one) => ((one.changed ?? "") > (last.changed ?? "") ? one : last));
  return sides.map((one) => ({ ...one, changed, changedBy }));
}

/** All features of both sides: {features, conflicts}, the latter by id, each {before, theirs}; see mergeFeature. */
export function merge(base, mine, theirs, published = new Map()) {
  const [before, here, there] = [base, mine, theirs].map(byId);
  const conflicts = new Map();
  const settled = (id) => {
    const [old, own, other] = [before, here, there].map((side) => side.get(id) ?? null);
    const { feature, conflict } = mergeFeature(old, own, other, published.get(id));
    if (conflict) conflicts.set(id, { before: old, theirs: other });
    return feature;
  };
  const ids = [...there.keys(), ...[...here.keys()].filter((id) => !there.has(id))];
  return { features: ids.map(settled).filter(Boolean), conflicts };
}
