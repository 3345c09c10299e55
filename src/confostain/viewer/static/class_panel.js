// The part of the annotation panel about classes: that of new annotations, all on the slide with their visibility, new ones.

import { addClass, chooseClass, classOf, currentClass, knownClasses } from "./classes.js";
import { isClassHidden, toggleClass } from "./visibility.js";

const byId = (id) => document.getElementById(id);

/** `features()` are those of the slide that is listed; `changed()` after each change. */
export function bindClasses(features, changed) {
  byId("class-new").addEventListener("change", () => {
    chooseClass(knownClasses(features()).find(({ name }) => name === byId("class-new").value) ?? null);
    changed();
  });
  byId("class-add").addEventListener("click", () => {
    const name = byId("class-name").value.trim();
    const problem = addClass(name, byId("class-colour").value, knownClasses(features()));
    byId("class-problem").textContent = problem;
    if (problem) return;
    byId("class-name").value = "";
    chooseClass(knownClasses(features()).find((one) => one.name === name));
    changed();
  });
  byId("class-list").addEventListener("click", ({ target }) => {
    const button = target.closest("button");
    if (!button) return;
    toggleClass(button.dataset.name);
    changed();
  });
}

export function drawClasses(features) {
  const known = knownClasses(features);
  fillClasses(byId("class-new"), known, currentClass()?.name ?? "", "as the tool");
  const counts = new Map();
  for (const feature of features) {
    const name = classOf(feature)?.name ?? "";
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const drawn = JSON.stringify([...counts].map(([name, count]) => [name, count, isClassHidden(name), known.find((one) => one.name === name)?.color]));
  const list = byId("class-list");
  if (list.dataset.drawn === drawn) return;
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.name : null;
  list.dataset.drawn = drawn;
  list.replaceChildren(...[...counts].map(([name, count]) => classItem(name, count, known.find((one) => one.name === name)?.color)));
  [...list.querySelectorAll("button")].find((button) => button.dataset.name === focused)?.focus();
}

function classItem(name, count, color) {
  const item = document.createElement("li");
  const dot = document.createElement("i");
  dot.style.background = `rgb(${(color ?? [160, 160, 160]).join(" ")})`;
  const label = Object.assign(document.createElement("span"), { textContent: `${name || "no class"}: ${count}` });
  const hidden = isClassHidden(name);
  const button = Object.assign(document.createElement("button"), { type: "button", className: "plain small", textContent: hidden ? "Show" : "Hide" });
  button.dataset.name = name;
  button.setAttribute("aria-label", `${hidden ? "Show" : "Hide"} ${name || "annotations without class"}`);
  item.append(dot, label, button);
  return item;
}

/** Gives a menu these classes, with an entry without class in front. */
export function fillClasses(select, known, chosen, none) {
  const names = known.map(({ name }) => name).join("\n");
  if (select.dataset.names !== names) {
    select.dataset.names = names;
    select.replaceChildren(new Option(none, ""), ...known.map(({ name }) => new Option(name, name)));
  }
  if (select.value !== chosen) select.value = chosen;
}
