// The panel of brightness and gamma of the layers in view.

import { NEUTRAL, adjustment, setAdjustment } from "./adjust.js";

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
