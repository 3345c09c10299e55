// Drafts: changes of annotations that the server has not acknowledged, kept in the browser beyond the page.
//
// Each page keeps its own draft of a slide: a list of {id, before, after, published}, see merge.js. A page that opens a
// slide takes over the drafts that other pages left.

import { randomHex } from "./ids.js";

const PREFIX = "confostain.draft.";
const page = randomHex();

/** Keep a page's changes of a slide, or forget them if there are none. Returns false if the browser cannot. */
export function keepDraft(slide, changes) {
  const key = `${PREFIX}${slide}.${page}`;
  try {
    if (changes.length > 0) localStorage.setItem(key, JSON.stringify(changes));
    else localStorage.removeItem(key);
    return true;
  } catch {
    return false; // full, or forbidden
  }
}

/** Drafts of a slide that other pages left: {key, changes}. */
export function leftDrafts(slide) {
  const keys = draftKeys().filter((key) => key.startsWith(`${PREFIX}${slide}.`) && !key.endsWith(page));
  return keys.map((key) => ({ key, changes: parsed(localStorage.getItem(key)) })).filter(({ changes }) => Array.isArray(changes));
}

export const forgetDraft = (key) => localStorage.removeItem(key);

/** Ids of the slides with a draft. */
export const slidesWithDrafts = () => new Set(draftKeys().map((key) => key.slice(PREFIX.length).split(".")[0]));

function draftKeys() {
  try {
    return Object.keys(localStorage).filter((key) => key.startsWith(PREFIX));
  } catch {
    return [];
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
