// Lengths, areas and magnifications as text, and the scale bar. Pure functions.

export const MAGNIFICATIONS = [5, 10, 20, 40];

/** 10x means 1 um per pixel, 20x means 0.5: the convention of slide scanners. */
export const micronsAt = (magnification) => 10 / magnification;
export const magnificationAt = (micronsPerPixel) => 10 / micronsPerPixel;

const digits = (value) => (value >= 100 ? Math.round(value).toLocaleString("en-US") : value >= 10 ? value.toFixed(1) : value.toFixed(2));

export function lengthText(microns) {
  return microns >= 1000 ? `${digits(microns / 1000)} mm` : `${digits(microns)} µm`;
}

export function areaText(squareMicrons) {
  return squareMicrons >= 1e5 ? `${digits(squareMicrons / 1e6)} mm²` : `${digits(squareMicrons)} µm²`;
}

export function magnificationText(magnification) {
  return `${magnification >= 10 ? magnification.toFixed(0) : magnification.toFixed(1)}×`;
}

/** The longest of 1, 2, 5, 10, ... um that fits into `longest` CSS pixels: {microns, pixels, text}. */
export function scaleBar(micronsPerPixel, longest) {
  const most = micronsPerPixel * longest;
  const power = 10 ** Math.floor(Math.log10(most));
  const microns = [5, 2, 1].map((step) => step * power).find((step) => step <= most);
  const text = microns >= 1000 ? `${microns / 1000} mm` : `${Number(microns.toPrecision(1))} µm`;
  return { microns, pixels: microns / micronsPerPixel, text };
}
