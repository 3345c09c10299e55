// The two panels on the right: brightness and gamma of the layers in view, and the list of annotations.

import { NEUTRAL, adjustment, setAdjustment } from "./adjust.js";
import { KINDS, kindOf, measureText, pointsOf } from "./features.js";

const MOST_ROWS = 300;
const RANGES = { brightness: [0.2, 4], gamma: [0.3, 3] };

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** `layers` are the layers in view; `changed(id)` after each change. */
export function drawAdjustments(host, layers, changed) {
  const key = layers.map((layer) => layer.id).join();
  if (host.dataset.key === key) return;
  host.dataset.key = key;
  host.replaceChildren(...layers.map((layer) => adjustmentOf(layer, changed)));
}

function adjustmentOf(layer, changed) {
  const reset = element("button", { type: "button", className: "plain small", textContent: "Reset" });
  const group = element("section", { className: "adjust" }, element("header", {}, layer.label, reset));
  group.setAttribute("aria-label", layer.label);
  const refresh = [];
  for (const [what, [least, most]] of Object.entries(RANGES)) {
    const name = what[0].toUpperCase() + what.slice(1);
    // The slider is logarithmic: its middle changes nothing where the range allows, and halving equals doubling.
    const slider = element("input", { type: "range", min: Math.log(least), max: Math.log(most), step: 0.01, id: `${what}-${layer.id}` });
    const value = element("output");
    const show = () => {
      slider.value = Math.log(adjustment(layer.id)[what]);
      value.textContent = adjustment(layer.id)[what].toFixed(2);
    };
    slider.addEventListener("input", () => {
      const picked = Math.abs(slider.value) < 0.02 ? 1 : Math.exp(slider.value);
      setAdjustment(layer.id, { ...adjustment(layer.id), [what]: picked });
      value.textContent = picked.toFixed(2);
      changed(layer.id);
    });
    refresh.push(show);
    show();
    group.append(element("label", { htmlFor: slider.id, textContent: name }), slider, value);
  }
  reset.addEventListener("click", () => {
    setAdjustment(layer.id, NEUTRAL);
    refresh.forEach((show) => show());
    changed(layer.id);
  });
  return group;
}

/** `go(feature)` shows one in the view. */
export function drawNotes(list, annotations, mpp, go) {
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.id : null;
  const shown = annotations.features.slice(0, MOST_ROWS);
  list.replaceChildren(...shown.map((feature, i) => noteOf(feature, i, annotations, mpp, go)));
  const more = annotations.features.length - shown.length;
  if (more > 0) list.append(element("li", { className: "quiet", textContent: `and ${more} more on the slide` }));
  if (focused) list.querySelector(`input[data-id="${focused}"]`)?.focus();
}

function noteOf(feature, i, annotations, mpp, go) {
  const kind = kindOf(feature);
  const { name, color } = feature.properties?.classification ?? KINDS[kind];
  const dot = element("i");
  dot.style.background = `rgb(${(color ?? KINDS[kind].color).join(" ")})`;
  const label = element("input", { value: feature.properties?.name ?? "", placeholder: `${name ?? kind} ${i + 1}`, maxLength: 200 });
  label.setAttribute("aria-label", `Name of annotation ${i + 1}, ${name ?? kind}`);
  label.dataset.id = feature.id;
  label.addEventListener("change", () => annotations.rename(feature.id, label.value));
  label.addEventListener("focus", () => annotations.selected !== feature.id && annotations.select(feature.id));
  const remove = element("button", { type: "button", className: "tool", title: "Delete" });
  remove.setAttribute("aria-label", `Delete annotation ${i + 1}`);
  remove.innerHTML = '<svg class="icon" aria-hidden="true"><use href="/static/icons.svg#delete"></use></svg>';
  remove.addEventListener("click", () => annotations.remove(feature.id));
  const row = element("li", { className: "note" }, dot, label, element("output", { textContent: measureText(pointsOf(feature), kind, mpp) }), remove);
  row.classList.toggle("selected", feature.id === annotations.selected);
  row.addEventListener("dblclick", () => go(feature));
  return row;
}
