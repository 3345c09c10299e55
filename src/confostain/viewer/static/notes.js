// List of a slide's annotations, and of those that were changed here and elsewhere. Rows are kept as long as their
// annotation exists: a field that somebody types in is never replaced.

import { signature } from "./authors.js";
import { fillClasses } from "./class_panel.js";
import { classOf, knownClasses, withClass } from "./classes.js";
import { KINDS, isLocked, kindOf, measureText } from "./features.js";
import { isHiddenAlone, isVisible, toggleFeature } from "./visibility.js";

const MOST_ROWS = 300;

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

const rows = new Map(); // feature id -> {item, update(feature, position)}, of the document that is listed
let listed = null;

/** `notes` is an AnnotationDocument; `go(feature)` shows one in the view, `select(id)` selects it, `showHidden()` paints anew. */
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

function makeRow(notes, id, { go, select, showHidden }) {
  const dot = element("i");
  const label = element("input", { maxLength: 200 });
  const measure = element("output");
  const remove = element("button", { type: "button", className: "tool", title: "Delete" });
  remove.innerHTML = '<svg class="icon" aria-hidden="true"><use href="static/icons.svg#delete"></use></svg>';
  const facts = element("small");
  const { bar, updateBar } = makeBar(notes, id, showHidden);
  const item = element("li", { className: "note" }, dot, label, measure, remove, facts, bar);
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
    const said = classOf(feature)?.name ?? kind;
    const color = classOf(feature)?.color ?? KINDS[kind].color;
    const value = feature.properties?.name ?? "";
    dot.style.background = `rgb(${color.join(" ")})`;
    if (label.value !== value) label.value = value;
    label.readOnly = isLocked(feature);
    label.placeholder = `${said} ${i + 1}`;
    label.setAttribute("aria-label", `Name of annotation ${i + 1}, ${said}`);
    measure.textContent = measureText(feature.geometry, notes.slide.microns_per_pixel);
    remove.disabled = isLocked(feature);
    remove.setAttribute("aria-label", `Delete annotation ${i + 1}`);
    facts.textContent = [said, isLocked(feature) && "locked", !isVisible(feature) && "hidden", signature(feature)].filter(Boolean).join(" · ");
    item.classList.toggle("selected", id === notes.selected);
    bar.hidden = id !== notes.selected;
    if (!bar.hidden) updateBar(feature, i);
  };
  return { item, update };
}

/** What can be done with the selected annotation: its class, lock and hide. */
function makeBar(notes, id, showHidden) {
  const menu = element("select");
  const lock = element("button", { type: "button", className: "plain small" });
  const hide = element("button", { type: "button", className: "plain small" });
  const bar = element("div", {}, menu, lock, hide);
  menu.addEventListener("change", () => {
    const chosen = knownClasses(notes.features).find(({ name }) => name === menu.value);
    if (chosen) notes.replace(withClass(notes.find(id), chosen));
  });
  lock.addEventListener("click", () => notes.lock(id, !isLocked(notes.find(id))));
  hide.addEventListener("click", () => {
    toggleFeature(id);
    showHidden();
  });
  const updateBar = (feature, i) => {
    const locked = isLocked(feature);
    const { name } = classOf(feature) ?? { name: "" };
    const known = knownClasses(notes.features);
    fillClasses(menu, known.some((one) => one.name === name) || !name ? known : [...known, { name }], name, "no class");
    menu.options[0].disabled = true;
    menu.disabled = locked;
    menu.setAttribute("aria-label", `Class of annotation ${i + 1}`);
    lock.textContent = locked ? "Unlock" : "Lock";
    hide.textContent = isHiddenAlone(id) ? "Show" : "Hide";
  };
  return { bar, updateBar };
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
  const { name } = feature.properties ?? {};
  return [name || kindOf(feature), classOf(feature)?.name, isLocked(feature) && "locked", measureText(feature.geometry, mpp)].filter(Boolean).join(", ");
}
