// The panel of black and white point, brightness and gamma of the layers in view.

import { NEUTRAL, RANGES, adjustment, setAdjustment } from "./adjust.js";
import { levelsOf } from "./levels.js";

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** `layers` are {key, label, slide, id, canvas()} of the layers in view, see levels.js; `changed()` after each change. */
export function drawAdjustments(host, layers, changed) {
  const drawn = layers.map(({ key, label }) => `${key} ${label}`).join();
  if (host.dataset.drawn !== drawn) host.replaceChildren(...layers.map((layer, i) => adjustmentOf(layer, i, changed)));
  host.dataset.drawn = drawn;
  for (const group of host.children) group.refresh();
}

function adjustmentOf(layer, i, changed) {
  const reset = element("button", { type: "button", className: "plain small", textContent: "Reset" });
  const group = element("section", { className: "adjust" }, element("header", {}, layer.label, reset));
  group.setAttribute("aria-label", layer.label);
  const levels = levelsOf(layer, i, changed);
  group.append(...levels.elements);
  const refresh = [levels.refresh];
  for (const [what, [least, most]] of Object.entries(RANGES)) {
    const name = what[0].toUpperCase() + what.slice(1);
    // The slider is logarithmic: its middle changes nothing where the range allows, and halving equals doubling.
    const slider = element("input", { type: "range", min: Math.log(least), max: Math.log(most), step: 0.01, id: `${what}-${i}` });
    const value = element("output");
    const show = () => {
      if (Number(adjustment(layer.key)[what].toFixed(2)) === Number(value.textContent)) return; // a slider in use stays
      slider.value = Math.log(adjustment(layer.key)[what]);
      value.textContent = adjustment(layer.key)[what].toFixed(2);
    };
    slider.addEventListener("input", () => {
      const picked = Math.abs(slider.value) < 0.02 ? 1 : Math.exp(slider.value);
      setAdjustment(layer.key, { ...adjustment(layer.key), [what]: picked });
      value.textContent = picked.toFixed(2);
      changed();
    });
    refresh.push(show);
    show();
    group.append(element("label", { htmlFor: slider.id, textContent: name }), slider, value);
  }
  group.refresh = () => refresh.forEach((show) => show());
  reset.addEventListener("click", () => {
    setAdjustment(layer.key, NEUTRAL);
    group.refresh();
    changed();
  });
  return group;
}
