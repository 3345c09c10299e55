// List of a slide's annotations, and of those that were changed here and elsewhere. Rows are kept as long as their
// annotation exists: a field that somebody types in is never replaced.

import { KINDS, kindOf, measureText } from "./features.js";

const MOST_ROWS = 300;

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

const rows = new Map(); // feature id -> {item, update(feature, position)}, of the document that is listed
let listed = null;

/** `notes` is an AnnotationDocument; `go(feature)` shows one in the view, `select(id)` selects it. */
export function drawNotes(list, notes, actions) {
  if (listed !== notes) rows.clear();
  listed = notes;
  const shown = notes.features.slice(0, MOST_ROWS);
  const ids = new Set(shown.map((feature) => feature.id));
  [...rows.keys()].filter((id) => !ids.has(id)).forEach((id) => rows.delete(id));
  const items = shown.map((feature, i) => {
    if (!rows.has(feature.id)) rows.set(feature.id, makeRow(notes, feature.id, actions));
    const { item, update } = rows.get(feature.id);
    update(feature, i);
    return item;
  });
  const more = notes.features.length - shown.length;
  if (more > 0) items.push(element("li", { className: "quiet", textContent: `and ${more} more on the slide` }));
  arrange(list, items);
}

/** Gives a list these items, and moves the one with the focus last of all: moving takes the focus away. */
function arrange(list, items) {
  const wanted = new Set(items);
  [...list.children].filter((item) => !wanted.has(item)).forEach((item) => item.remove());
  items.forEach((item, i) => {
    while (item.contains(document.activeElement) && list.children[i] !== item) list.append(list.children[i]);
    if (list.children[i] !== item) list.insertBefore(item, list.children[i] ?? null);
  });
}

function makeRow(notes, id, { go, select }) {
  const dot = element("i");
  const label = element("input", { maxLength: 200 });
  const measure = element("output");
  const remove = element("button", { type: "button", className: "tool", title: "Delete" });
  remove.innerHTML = '<svg class="icon" aria-hidden="true"><use href="static/icons.svg#delete"></use></svg>';
  const item = element("li", { className: "note" }, dot, label, measure, remove);
  let typing = false; // what is typed without leaving the field is undone together
  label.addEventListener("input", () => {
    notes.rename(id, label.value, typing);
    typing = true;
  });
  label.addEventListener("blur", () => (typing = false));
  label.addEventListener("focus", () => notes.selected !== id && select(id));
  remove.addEventListener("click", () => notes.remove(id));
  item.addEventListener("dblclick", () => go(notes.find(id)));
  const update = (feature, i) => {
    const kind = kindOf(feature);
    const { name, color } = feature.properties?.classification ?? KINDS[kind];
    const value = feature.properties?.name ?? "";
    dot.style.background = `rgb(${(color ?? KINDS[kind].color).join(" ")})`;
    if (label.value !== value) label.value = value;
    label.placeholder = `${name ?? kind} ${i + 1}`;
    label.setAttribute("aria-label", `Name of annotation ${i + 1}, ${name ?? kind}`);
    measure.textContent = measureText(feature.geometry, notes.slide.microns_per_pixel);
    remove.setAttribute("aria-label", `Delete annotation ${i + 1}`);
    item.classList.toggle("selected", id === notes.selected);
  };
  return { item, update };
}

/** Annotations that were changed here and elsewhere, each with the choice of the version that stays. */
export function drawConflicts(list, notes) {
  list.replaceChildren(...[...notes.conflicts].map(([id, { theirs }]) => conflictOf(notes, id, notes.find(id), theirs)));
}

function conflictOf(notes, id, mine, theirs) {
  const said = (feature) => (feature ? describe(feature, notes.slide.microns_per_pixel) : "deleted");
  const text = element("p", { textContent: `Here: ${said(mine)}. Elsewhere: ${said(theirs)}.` });
  const choices = [["mine", "Keep this one"], ["theirs", "Take the other"], ...(mine && theirs ? [["both", "Keep both"]] : [])];
  const buttons = choices.map(([choice, textContent]) => {
    const button = element("button", { type: "button", className: "plain small", textContent });
    button.addEventListener("click", () => notes.resolve(id, choice));
    return button;
  });
  return element("li", { className: "conflict" }, text, element("div", {}, ...buttons));
}

function describe(feature, mpp) {
  const { name, classification } = feature.properties ?? {};
  return [name || classification?.name || kindOf(feature), measureText(feature.geometry, mpp)].filter(Boolean).join(", ");
}
