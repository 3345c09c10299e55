// Lengths, areas and magnifications as text, and the scale bar. Pure functions.
//
// `mpp` is a slide's pixel size in um, null where nobody knows it: then everything is in level-0 pixels, and there is no
// magnification.

export const MAGNIFICATIONS = [5, 10, 20, 40];

/** 10x means 1 um per pixel, 20x means 0.5: the convention of slide scanners. */
export const micronsAt = (magnification) => 10 / magnification;
export const magnificationAt = (micronsPerPixel) => 10 / micronsPerPixel;

const digits = (value) => (value >= 100 ? Math.round(value).toLocaleString("en-US") : value >= 10 ? value.toFixed(1) : value.toFixed(2));

export function lengthText(pixels, mpp) {
  if (!mpp) return `${digits(pixels)} px`;
  const microns = pixels * mpp;
  return microns >= 1000 ? `${digits(microns / 1000)} mm` : `${digits(microns)} µm`;
}

export function areaText(squarePixels, mpp) {
  if (!mpp) return `${digits(squarePixels)} px²`;
  const squareMicrons = squarePixels * mpp * mpp;
  return squareMicrons >= 1e5 ? `${digits(squareMicrons / 1e6)} mm²` : `${digits(squareMicrons)} µm²`;
}

export function magnificationText(magnification) {
  return `${magnification >= 10 ? magnification.toFixed(0) : magnification.toFixed(1)}×`;
}

/** What a pixel of the screen shows, for a view of Stage.sharedView: "0.500 µm/px", or "2.00 px/px". */
export const resolutionText = ({ mpp, px }) => (mpp ? `${mpp.toPrecision(3)} µm/px` : `${px.toPrecision(3)} px/px, pixel size unknown`);

/** The longest of 1, 2, 5, 10, ... um, or pixels of the slide, that fits into `longest` CSS pixels: {pixels, text}. */
export function scaleBar(level0PerPixel, mpp, longest) {
  const each = level0PerPixel * (mpp || 1);
  const power = 10 ** Math.floor(Math.log10(each * longest));
  const length = [5, 2, 1].map((step) => step * power).find((step) => step <= each * longest);
  const plain = Number(length.toPrecision(1));
  const text = !mpp ? `${plain} px` : length >= 1000 ? `${length / 1000} mm` : `${plain} µm`;
  return { pixels: length / each, text };
}
