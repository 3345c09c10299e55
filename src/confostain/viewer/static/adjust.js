// Black and white point, brightness and gamma of each layer of each slide, applied by the browser; tiles and files stay as they are.

const SVG = "http://www.w3.org/2000/svg";
const settings = new Map(); // key -> {brightness, gamma, black, white}, the last two as 8-bit values
const filters = new Map(); // key -> id of its filter: layers may have names that are no part of an address

export const RANGES = { brightness: [0.2, 4], gamma: [0.3, 3] };

export const NEUTRAL = Object.freeze({ brightness: 1, gamma: 1, black: 0, white: 255 });

/** What the functions below name a layer of a slide by. */
export const adjustmentKey = (slide, layer) => `${slide}:${layer}`;

export const adjustment = (key) => settings.get(key) ?? NEUTRAL;
export const isAdjusted = (key) => settings.has(key);

/** What is not said of an adjustment is neutral. */
export function setAdjustment(key, said) {
  const all = { ...NEUTRAL, ...said };
  if (Object.keys(NEUTRAL).every((name) => all[name] === NEUTRAL[name])) settings.delete(key);
  else settings.set(key, all);
  updateFilter(key);
}

/** "adjusted: black 20, gamma 0.80": what differs from neutral, for captions. */
export function adjustedText(key) {
  const all = adjustment(key);
  const parts = ["black", "white"].filter((name) => all[name] !== NEUTRAL[name]).map((name) => `${name} ${all[name]}`);
  const others = ["brightness", "gamma"].filter((name) => all[name] !== 1).map((name) => `${name} ${all[name].toFixed(2)}`);
  return `adjusted: ${[...parts, ...others].join(", ")}`;
}

/** The value that an 8-bit value becomes: stretched from black to white, then brightness times it to the power 1 / gamma. */
export function adjusted(value, { brightness, gamma, black = 0, white = 255 }) {
  const stretched = Math.min(1, Math.max(0, (value - black) / (white - black)));
  return Math.min(255, Math.round(255 * brightness * stretched ** (1 / gamma)));
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
  const { brightness, gamma, black, white } = settings.get(key);
  const filter = document.createElementNS(SVG, "filter");
  filter.id = id;
  filter.setAttribute("color-interpolation-filters", "sRGB");
  const slope = 255 / (white - black);
  filter.append(
    transfer({ type: "linear", slope, intercept: (-slope * black) / 255 }),
    transfer({ type: "gamma", amplitude: brightness, exponent: 1 / gamma }),
  );
  document.getElementById("filters").append(filter);
}

function transfer(attributes) {
  const made = document.createElementNS(SVG, "feComponentTransfer");
  for (const channel of ["R", "G", "B"]) {
    const part = document.createElementNS(SVG, `feFunc${channel}`);
    for (const [name, value] of Object.entries(attributes)) part.setAttribute(name, value);
    made.append(part);
  }
  return made;
}
