// Brightness and gamma of each layer, applied by the browser; tiles and files stay as they are.

const SVG = "http://www.w3.org/2000/svg";
const settings = new Map(); // layer id -> {brightness, gamma}

export const NEUTRAL = Object.freeze({ brightness: 1, gamma: 1 });

export const adjustment = (layer) => settings.get(layer) ?? NEUTRAL;
export const isAdjusted = (layer) => settings.has(layer);

export function setAdjustment(layer, { brightness, gamma }) {
  if (brightness === 1 && gamma === 1) settings.delete(layer);
  else settings.set(layer, { brightness, gamma });
  updateFilter(layer);
}

/** The value that an 8-bit value becomes: brightness times value to the power 1 / gamma, as the SVG filter does. */
export function adjusted(value, { brightness, gamma }) {
  return Math.min(255, Math.round(255 * brightness * (value / 255) ** (1 / gamma)));
}

/** The CSS filter of a layer; "" where nothing is changed. */
export const filterFor = (layer) => (settings.has(layer) ? `url(#adjust-${layer})` : "");

/** The same change on a canvas's pixels, for snapshots. */
export function adjustPixels(image, layer) {
  if (!settings.has(layer)) return image;
  const table = Uint8ClampedArray.from({ length: 256 }, (_, value) => adjusted(value, adjustment(layer)));
  for (let i = 0; i < image.data.length; i += 4) {
    for (let channel = 0; channel < 3; channel += 1) image.data[i + channel] = table[image.data[i + channel]];
  }
  return image;
}

function updateFilter(layer) {
  const id = `adjust-${layer}`;
  document.getElementById(id)?.remove();
  if (!settings.has(layer)) return;
  const { brightness, gamma } = settings.get(layer);
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
