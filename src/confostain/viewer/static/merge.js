// Three-way merge of annotations that were changed here and elsewhere. Pure.

import { uuid } from "./ids.js";

const byIds = (features) => new Map(features.map((feature) => [feature.id, feature]));
const equal = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/**
 * The features of both sides, given those that both started from. A change wins over no change and over a removal;
 * of a feature that both changed, each side's version is kept, this side's under a new id.
 */
export function merge(base, mine, theirs) {
  const [before, here, there] = [base, mine, theirs].map(byIds);
  const changedHere = (id) => !equal(here.get(id), before.get(id));
  const changedThere = (id) => !equal(there.get(id), before.get(id));
  const merged = [];
  for (const feature of theirs) {
    const own = here.get(feature.id);
    if (changedThere(feature.id)) merged.push(feature);
    else if (own) merged.push(own);
    if (own && changedHere(feature.id) && changedThere(feature.id) && !equal(own, feature)) merged.push({ ...own, id: uuid() });
  }
  return [...merged, ...mine.filter(({ id }) => !there.has(id) && changedHere(id))];
}
