// Annotations as a table in CSV (RFC 4180). Pure functions.

import { classOf } from "./classes.js";
import { isLocked, kindOf, measuresOf, partsOf } from "./features.js";

const COLUMNS = ["slide", "um_per_px", "id", "kind", "class", "name", "author", "created", "changed_by", "changed", "locked", "x_px", "y_px", "unit", "length", "area", "perimeter"];

/**
 * One row for each annotation. Lengths and perimeters are in `unit`, areas in its square: um, or px where no pixel size is
 * known. x_px and y_px are the middle of the box around it in level-0 pixels.
 */
export function toCsv(slide, features) {
  const rows = features.map((feature) => rowOf(slide, feature));
  return [COLUMNS, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

function rowOf({ name: slide, microns_per_pixel: mpp }, feature) {
  const { author, created, changedBy, changed } = feature.properties?.metadata ?? {};
  const { length, area, perimeter } = measuresOf(feature.geometry);
  const scale = mpp || 1;
  const number = (value, factor) => (value === null ? "" : Number((value * factor).toFixed(3)));
  const points = partsOf(feature).flat();
  const middle = [0, 1].map((axis) => {
    const [least, most] = points.reduce(([low, high], point) => [Math.min(low, point[axis]), Math.max(high, point[axis])], [Infinity, -Infinity]);
    return Number(((least + most) / 2).toFixed(1));
  });
  return [
    slide, mpp ?? "", feature.id, kindOf(feature), classOf(feature)?.name, feature.properties?.name,
    author, created, changedBy, changed, isLocked(feature) ? "yes" : "no", ...middle,
    mpp ? "um" : "px", number(length, scale), number(area, scale * scale), number(perimeter, scale),
  ];
}

/** Text that a spreadsheet would take for a formula gets an apostrophe in front. */
function cell(value) {
  if (typeof value === "number") return String(value);
  const text = String(value ?? "").replace(/^(?=[=+\-@\t\r])/, "'");
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
