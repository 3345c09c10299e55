// Brightness and gamma of each layer of each slide, applied by the browser; tiles and files stay as they are.

const SVG = "http://www.w3.org/2000/svg";
const settings = new Map(); // key -> {brightness, gamma}
const filters = new Map(); // key -> id of its filter: layers may have names that are no part of an address

export const RANGES = { brightness: [0.2, 4], gamma: [0.3, 3] };

export const NEUTRAL = Object.freeze({ brightness: 1, gamma: 1 });

/** What the functions below name a layer of a slide by. */
export const adjustmentKey = (slide, layer) => `${slide}:${layer}`;

export const adjustment = (key) => settings.get(key) ?? NEUTRAL;
export const isAdjusted = (key) => settings.has(key);

export function setAdjustment(key, { brightness, gamma }) {
  if (brightness === 1 && gamma === 1) settings.delete(key);
  else settings.set(key, { brightness, gamma });
  updateFilter(key);
}

/** The value that an 8-bit value becomes: brightness times value to the power 1 / gamma, as the SVG filter does. */
export function adjusted(value, { brightness, gamma }) {
  return Math.min(255, Math.round(255 * brightness * (value / 255) ** (1 / gamma)));
}

/** The CSS filter of a layer; "" where nothing is changed. */
export const filterFor = (key) => (settings.has(key) ? `url(#${filters.get(key)})` : "");

/** The same change on a canvas's pixels, for snapshots. */
export function adjustPixels(image, key) {
  if (!settings.has(key)) return image;
  const table = Uint8ClampedArray.from({ length: 256 }, (_, value) => adjusted(value, adjustment(key)));
  for (let i = 0; i < image.data.length; i += 4) {
    for (let channel = 0; channel < 3; channel += 1) image.data[i + channel] = table[image.data[i + channel]];
  }
  return image;
}

function updateFilter(key) {
  if (!filters.has(key)) filters.set(key, `adjust-${filters.size}`);
  const id = filters.get(key);
  document.getElementById(id)?.remove();
  if (!settings.has(key)) return;
  const { brightness, gamma } = settings.get(key);
  const filter = document.createElementNS(SVG, "filter");
  filter.id = id;
  filter.setAttribute("color-interpolation-filters", "sRGB");
  const transfer = document.createElementNS(SVG, "feComponentTransfer");
  for (const channel of ["R", "G", "B"]) {
    const part = document.createElementNS(SVG, `feFunc${channel}`);
    part.setAttribute("type", "gamma");
    part.setAttribute("amplitude", brightness);
    part.setAttribute("exponent", 1 / gamma);
    transfer.append(part);
  }
  filter.append(transfer);
  document.getElementById("filters").append(filter);
}
