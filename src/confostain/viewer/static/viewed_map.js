// Map of what has been seen of a slide: for each cell of a grid the finest magnification, and for how long. Pure, but for
// the canvas that it is painted on.

import { slideTransform } from "./geometry.js";
import { micronsAt } from "./units.js";

const MOST_CELLS = 512; // along the longer side
const LEAST_CELL = 16; // level-0 pixels
const ROUNDING = 1.02; // a view at 10x has 1 um per pixel, or hardly more

// Unseen tissue is the strongest, in a hue that H&E and the grey channels have not; finer views fade. In the order of the
// colour map viridis, which colour-blind readers can tell apart.
const COLOURS = [[255, 221, 0, 150], [122, 209, 81, 105], [34, 168, 132, 90], [42, 120, 142, 75], [65, 68, 135, 55]];

export const BANDS = {
  microns: { finest: [Infinity, ...[5, 10, 20].map((times) => micronsAt(times) * ROUNDING)], names: ["Seen below 5×", "at 5× to 10×", "at 10× to 20×", "at 20× or more"] },
  pixels: { finest: [Infinity, 4 * ROUNDING, 2 * ROUNDING, ROUNDING], names: ["Seen at over 4 px per screen px", "at 2 to 4", "at 1 to 2", "at 1 or less"] },
};

export const css = (band) => `rgb(${COLOURS[band].slice(0, 3).join(" ")})`;

export class ViewedMap {
  /** `tissue` is {columns, rows, cell, cells}: 1 for tissue; null where no mask is known: all of the slide counts then. */
  constructor(slide, tissue = null) {
    const fine = tissue?.cell ?? Math.max(LEAST_CELL, Math.ceil(Math.max(slide.width, slide.height) / MOST_CELLS));
    const cell = fine * Math.max(1, Math.ceil(Math.max(slide.width, slide.height) / fine / MOST_CELLS));
    const [columns, rows] = [Math.ceil(slide.width / cell), Math.ceil(slide.height / cell)];
    Object.assign(this, { slide, cell, columns, rows, bands: slide.microns_per_pixel ? BANDS.microns : BANDS.pixels });
    this.finest = new Float32Array(columns * rows).fill(Infinity);
    this.seconds = new Float32Array(columns * rows);
    this.weight = new Float32Array(columns * rows).fill(tissue ? 0 : 1);
    tissue?.cells.forEach((isTissue, i) => {
      const [column, row] = [i % tissue.columns, Math.floor(i / tissue.columns)].map((at) => Math.floor((at * fine) / cell));
      if (isTissue) this.weight[row * columns + column] += 1;
    });
    this.times = this.bands.names.map(() => 0);
    this.picture = null;
  }

  /** Adds a view (see viewed.js) that was looked at for `seconds`. */
  add({ geometry, properties: { view } }, seconds) {
    const resolution = this.slide.microns_per_pixel ? this.slide.microns_per_pixel * view.px_per_screen_px : view.px_per_screen_px;
    this.times[this.#bandOf(resolution)] += seconds;
    const ring = geometry.coordinates[0];
    for (let row = 0; row < this.rows; row += 1) {
      const [from, to] = this.#span(ring, (row + 0.5) * this.cell);
      for (let column = from; column < to; column += 1) {
        const at = row * this.columns + column;
        this.seconds[at] += seconds;
        if (resolution < this.finest[at]) this.finest[at] = resolution;
      }
    }
    this.picture = null;
  }

  /** Columns whose centres lie inside a convex ring at the height y. */
  #span(ring, y) {
    let [left, right] = [Infinity, -Infinity];
    ring.slice(1).forEach(([bx, by], i) => {
      const [ax, ay] = ring[i];
      if (ay > y === by > y) return;
      const x = ax + ((y - ay) / (by - ay)) * (bx - ax);
      [left, right] = [Math.min(left, x), Math.max(right, x)];
    });
    return [Math.max(0, Math.ceil(left / this.cell - 0.5)), Math.min(this.columns, Math.ceil(right / this.cell - 0.5))];
  }

  #bandOf(resolution) {
    return this.bands.finest.findLastIndex((coarsest) => resolution <= coarsest);
  }

  /** Shares of the tissue, 0 to 1: not seen, then by the finest magnification. */
  shares() {
    const sums = [0, ...this.bands.names.map(() => 0)];
    this.weight.forEach((weight, at) => (sums[this.seconds[at] > 0 ? 1 + this.#bandOf(this.finest[at]) : 0] += weight));
    const all = sums.reduce((sum, one) => sum + one, 0);
    return sums.map((sum) => (all ? sum / all : 0));
  }

  /** {seconds, resolution} of a level-0 point; um or level-0 pixels per screen pixel. */
  at([x, y]) {
    const [column, row] = [Math.floor(x / this.cell), Math.floor(y / this.cell)];
    const inside = column >= 0 && row >= 0 && column < this.columns && row < this.rows;
    return inside ? { seconds: this.seconds[row * this.columns + column], resolution: this.finest[row * this.columns + column] } : { seconds: 0 };
  }

  paint(context, view) {
    this.picture ??= this.#draw();
    context.save();
    context.imageSmoothingEnabled = false;
    context.transform(...slideTransform(view));
    context.drawImage(this.picture, 0, 0, this.columns * this.cell, this.rows * this.cell);
    context.restore();
  }

  #draw() {
    const canvas = Object.assign(document.createElement("canvas"), { width: this.columns, height: this.rows });
    const context = canvas.getContext("2d");
    const image = context.createImageData(this.columns, this.rows);
    this.weight.forEach((weight, at) => {
      if (weight > 0) image.data.set(COLOURS[this.seconds[at] > 0 ? 1 + this.#bandOf(this.finest[at]) : 0], 4 * at);
    });
    context.putImageData(image, 0, 0);
    return canvas;
  }
}

/** A table as QuPath's view tracker writes it, with what is known besides at the end of each row; times in ms. */
export function viewsAsCsv(features) {
  const views = features.map(({ geometry, properties }) => ({ ring: geometry.coordinates[0], ...properties.view })).sort((a, b) => Date.parse(a.started) - Date.parse(b.started));
  const begin = views.length ? Date.parse(views[0].started) : 0;
  const head = ["Timestamp", "X", "Y", "Width", "Height", "Canvas width", "Canvas height", "Seconds", "um per screen pixel", "px per screen pixel", "Rotation", "Flipped", "Layers", "Started"];
  const rows = views.map((view) => {
    const [xs, ys] = [view.ring.map(([x]) => x), view.ring.map(([, y]) => y)];
    const [x, y] = [Math.min(...xs), Math.min(...ys)];
    const box = [x, y, Math.max(...xs) - x, Math.max(...ys) - y].map((value) => Math.round(value));
    const um = view.um_per_screen_px ? Number(view.um_per_screen_px).toPrecision(6) : "";
    return [Date.parse(view.started) - begin, ...box, ...view.canvas, view.seconds, um, Number(view.px_per_screen_px).toPrecision(6), view.rotation, Boolean(view.flipped), `"${view.layers.join("+").replaceAll('"', '""')}"`, view.started];
  });
  return [head, ...rows].map((row) => row.join(",")).join("\r\n") + "\r\n";
}
