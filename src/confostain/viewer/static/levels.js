// Black and white point of a layer, with the histogram of what is in view or of the whole slide.

import { NEUTRAL, adjustment, setAdjustment } from "./adjust.js";
import { thumbnail } from "./api.js";

const WIDTH = 256;
const HEIGHT = 64;
const CHANNELS = ["#ff5a5a", "#53d769", "#6aa8ff"];

/** Counts of the values 0 to 255 of red, green and blue; pixels outside the slide are transparent and do not count. */
export function histogramOf({ data }) {
  const counts = [0, 1, 2].map(() => new Uint32Array(256));
  for (let i = 0; i < data.length; i += 4) {
    if (data[i + 3] < 255) continue;
    for (let channel = 0; channel < 3; channel += 1) counts[channel][data[i + channel]] += 1;
  }
  return counts;
}

/** `layer` is {key, slide, id, canvas()}, the last with the pixels in view; `changed()` after each change. */
export function levelsOf(layer, i, changed) {
  const canvas = Object.assign(document.createElement("canvas"), { width: WIDTH, height: HEIGHT, className: "histogram" });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "Histogram");
  const whole = Object.assign(document.createElement("button"), { type: "button", className: "plain small", textContent: "Histogram of the whole slide" });
  whole.setAttribute("aria-pressed", "false");
  const picture = new Image();
  const draw = () => {
    if (canvas.offsetParent === null) return; // not seen
    const isWhole = whole.getAttribute("aria-pressed") === "true";
    drawHistogram(canvas, isWhole && picture.complete && picture.naturalWidth ? picture : layer.canvas(), adjustment(layer.key));
  };
  picture.addEventListener("load", draw);
  new ResizeObserver(draw).observe(canvas); // also when the panel is opened
  whole.addEventListener("click", () => {
    const pressed = whole.getAttribute("aria-pressed") !== "true";
    whole.setAttribute("aria-pressed", String(pressed));
    if (pressed) picture.src = thumbnail(layer.slide, layer.id);
    draw();
  });
  const fields = ["black", "white"].map((which) => fieldOf(which, layer, i, () => {
    draw();
    changed();
  }));
  return {
    elements: [canvas, whole, ...fields.flatMap(({ elements }) => elements)],
    refresh() {
      fields.forEach(({ show }) => show());
      draw();
    },
  };
}

function fieldOf(which, { key }, i, changed) {
  const name = `${which[0].toUpperCase()}${which.slice(1)} point`;
  const [slider, number] = ["range", "number"].map((type) => Object.assign(document.createElement("input"), { type, min: 0, max: 255, step: 1 }));
  slider.id = `${which}-${i}`;
  number.setAttribute("aria-label", `${name}, 0 to 255`);
  const show = (typed = false) => {
    for (const one of [slider, number]) {
      const inUse = one === document.activeElement && !typed; // what somebody types in stays
      if (!inUse && one.value !== String(adjustment(key)[which])) one.value = adjustment(key)[which];
    }
  };
  const take = (value) => {
    const { black, white } = adjustment(key);
    const inside = which === "black" ? Math.min(Math.max(0, value), white - 1) : Math.max(Math.min(255, value), black + 1);
    setAdjustment(key, { ...adjustment(key), [which]: Math.round(inside) });
    show(true);
    changed();
  };
  slider.addEventListener("input", () => take(Number(slider.value)));
  number.addEventListener("change", () => take(number.value === "" ? NEUTRAL[which] : Number(number.value)));
  show();
  return { elements: [Object.assign(document.createElement("label"), { htmlFor: slider.id, textContent: name }), slider, number], show };
}

function drawHistogram(canvas, source, { black, white }) {
  const small = document.createElement("canvas");
  const [width, height] = [source.naturalWidth ?? source.width, source.naturalHeight ?? source.height];
  const scale = Math.min(1, 512 / Math.max(width, height)); // enough pixels, and none is interpolated
  [small.width, small.height] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
  const reader = small.getContext("2d", { willReadFrequently: true });
  reader.imageSmoothingEnabled = false;
  reader.drawImage(source, 0, 0, small.width, small.height);
  const counts = histogramOf(reader.getImageData(0, 0, small.width, small.height));
  canvas.dataset.pixels = counts[0].reduce((sum, count) => sum + count, 0);
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, WIDTH, HEIGHT);
  context.globalCompositeOperation = "lighter"; // where the channels agree, as in grey, it is white
  counts.forEach((channel, i) => drawChannel(context, channel, CHANNELS[i]));
  context.globalCompositeOperation = "source-over";
  for (const place of [black, white]) {
    context.fillStyle = "#fff";
    context.fillRect(Math.min(place, WIDTH - 1), 0, 1, HEIGHT);
  }
}

/** Heights are roots of the counts, relative to the most frequent value between black and white. */
function drawChannel(context, counts, fillStyle) {
  const most = Math.max(1, ...counts.subarray(1, 255));
  context.fillStyle = fillStyle;
  counts.forEach((count, value) => {
    const height = Math.min(1, Math.sqrt(count / most)) * HEIGHT;
    context.fillRect(value, HEIGHT - height, 1, height);
  });
}
