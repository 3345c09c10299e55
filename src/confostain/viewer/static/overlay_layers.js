// Layers of an overlay: features of one class, or one channel of a map, in level-0 pixels; how each is painted.

import { pixelsOf } from "./api.js";
import { slideTransform, toScreen } from "./geometry.js";

// Hues that H&E has not, each told apart from the next by lightness too.
const CLASS_COLOURS = [[255, 221, 0], [0, 200, 255], [0, 170, 90], [255, 130, 0], [255, 255, 255]];
// Value 0, 0.5 and 1: from nothing to opaque, so that H&E stays readable where values are low.
const SCALES = [[[0, 70, 50, 0], [0, 170, 110, 130], [255, 235, 0, 225]], [[0, 40, 80, 0], [0, 130, 200, 130], [120, 250, 255, 225]]];
const SHADE = "rgba(0, 0, 0, 0.75)"; // around every line: it must be seen on white glass and on dark scans
export const MOST_POINTS = 100_000; // of one overlay: more belong into a map
const SMALL = 3000; // points in view above which they are drawn small

export const css = (rgb) => `rgb(${rgb.slice(0, 3).join(" ")})`;

/** Points and paths ({points, closed}) of a geometry. */
function shapesOf({ type, coordinates }) {
  const paths = { LineString: () => [[[coordinates], false]], MultiLineString: () => [[coordinates, false]], Polygon: () => [[coordinates, true]], MultiPolygon: () => [[coordinates.flat(), true]] }[type]?.() ?? [];
  const points = { Point: () => [coordinates], MultiPoint: () => coordinates }[type]?.() ?? [];
  return { points, paths: paths.flatMap(([lines, closed]) => lines.map((line) => ({ points: line, closed }))) };
}

/** The first number of properties.measurements: {name, value}, or null. */
function measureOf(properties) {
  const [name, value] = Object.entries(properties?.measurements ?? {}).find(([, one]) => Number.isFinite(one)) ?? [];
  return name === undefined ? null : { name: name.slice(0, 80), value };
}

/** One layer for each class of the features of an overlay. */
export function featureLayers(overlay, { features }) {
  const classes = new Map();
  let points = 0;
  for (const { geometry, properties } of features) {
    const { name, color } = properties?.classification ?? {};
    const label = name || "Unclassified";
    if (!classes.has(label)) classes.set(label, new FeatureLayer(overlay, label, color ?? CLASS_COLOURS[classes.size % CLASS_COLOURS.length]));
    const shapes = shapesOf(geometry);
    points += shapes.points.length;
    if (points > MOST_POINTS) throw new Error(`more than ${MOST_POINTS.toLocaleString("en-US")} points; expected fewer; show them as a map of their density`);
    classes.get(label).add(shapes, properties);
  }
  return [...classes.values()];
}

class FeatureLayer {
  constructor(overlay, name, colour) {
    Object.assign(this, { key: `${overlay.id} ${name}`, overlay: overlay.name, name, colour, points: [], paths: [], findings: [], on: overlay.given, opacity: 1 });
  }

  add({ points, paths }, properties) {
    this.points.push(...points);
    this.paths.push(...paths);
    const measure = measureOf(properties);
    const said = { layer: this, name: String(properties?.name || this.name), measure };
    points.forEach((at) => this.findings.push({ ...said, at }));
    if (paths.length) this.findings.push({ ...said, at: middleOf(paths.flatMap((path) => path.points)) });
  }

  legend() {
    return [{ swatch: css(this.colour), text: `${this.name} (${this.findings.length.toLocaleString("en-US")})` }];
  }

  paint(context, view) {
    context.save();
    context.globalAlpha = this.opacity;
    this.#paintPaths(context, view);
    const seen = this.points.map((point) => toScreen(view, point)).filter(([x, y]) => x > -9 && y > -9 && x < view.width + 9 && y < view.height + 9);
    const radius = seen.length > SMALL ? 1.5 : 5;
    for (const [style, more] of [[SHADE, 1.5], [css(this.colour), 0]]) {
      context.fillStyle = style;
      for (const [x, y] of seen) {
        if (radius < 2) context.fillRect(x - radius - more / 2, y - radius - more / 2, 2 * radius + more, 2 * radius + more);
        else paintDot(context, x, y, radius + more);
      }
    }
    context.restore();
  }

  #paintPaths(context, view) {
    context.save();
    context.transform(...slideTransform(view));
    context.beginPath();
    for (const { points, closed } of this.paths) {
      points.forEach(([x, y], i) => (i === 0 ? context.moveTo(x, y) : context.lineTo(x, y)));
      if (closed) context.closePath();
    }
    context.restore();
    context.save();
    context.globalAlpha *= 0.25;
    context.fillStyle = css(this.colour);
    if (this.paths.some((path) => path.closed)) context.fill("evenodd");
    context.restore();
    for (const [strokeStyle, lineWidth] of [[SHADE, 4], [css(this.colour), 2]]) {
      Object.assign(context, { strokeStyle, lineWidth });
      context.stroke();
    }
  }
}

function paintDot(context, x, y, radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}

function middleOf(points) {
  const [xs, ys] = [0, 1].map((i) => points.map((point) => point[i]));
  const between = (values) => (values.reduce((a, b) => Math.min(a, b)) + values.reduce((a, b) => Math.max(a, b))) / 2;
  return [between(xs), between(ys)];
}

/** A layer for each channel of a map; `load(channel)` fetches its picture. */
export function mapLayers(overlay, load) {
  return overlay.channels.map((channel, i) => new MapLayer(overlay, channel, SCALES[i % SCALES.length], () => load(i)));
}

class MapLayer {
  constructor(overlay, channel, scale, load) {
    Object.assign(this, { key: `${overlay.id} ${channel.name}`, overlay: overlay.name, name: channel.name, channel, scale, load, findings: [], on: overlay.given, opacity: 0.8 });
    this.classes = channel.classes && new Map(channel.classes.map(([label, name, colour]) => [label, { name, colour }]));
  }

  /** Fetches the pixels once. */
  ready() {
    this.loading ??= this.load().then(pixelsOf).then(({ pixels, columns, rows }) => {
      this.pixels = pixels;
      this.picture = this.#coloured(columns, rows);
    });
    return this.loading;
  }

  #colourOf(value) {
    if (this.classes) return [...(this.classes.get(value)?.colour ?? CLASS_COLOURS[value % CLASS_COLOURS.length]), 170];
    const [from, part] = value < 128 ? [0, value / 127.5] : [1, value / 127.5 - 1];
    return this.scale[from].map((start, i) => Math.round(start + part * (this.scale[from + 1][i] - start)));
  }

  #coloured(columns, rows) {
    const canvas = Object.assign(document.createElement("canvas"), { width: columns, height: rows });
    const context = canvas.getContext("2d");
    const image = context.createImageData(columns, rows);
    const colours = Array.from({ length: 256 }, (_, value) => this.#colourOf(value));
    for (let at = 0; at < this.pixels.length; at += 4) {
      if (this.pixels[at + 3] > 0) image.data.set(colours[this.pixels[at]], at);
    }
    context.putImageData(image, 0, 0);
    return canvas;
  }

  legend() {
    if (!this.classes) return [{ gradient: this.scale, text: this.name }];
    return [...this.classes.values()].map(({ name, colour }) => ({ swatch: css(colour), text: `${this.name}: ${name}` }));
  }

  paint(context, view) {
    if (!this.picture) return;
    const { x, y, scale, width, height } = this.channel;
    context.save();
    context.globalAlpha = this.opacity;
    context.imageSmoothingEnabled = false; // a cell is a cell: nothing is known in between
    context.transform(...slideTransform(view));
    context.drawImage(this.picture, x, y, width * scale, height * scale);
    context.restore();
  }

  /** What the map says of a level-0 point, as text; "" if nothing. */
  said([px, py]) {
    if (!this.picture) return "";
    const { x, y, scale, width, height } = this.channel;
    const [column, row] = [Math.floor((px - x) / scale), Math.floor((py - y) / scale)];
    if (column < 0 || row < 0 || column >= width || row >= height) return "";
    const at = 4 * (row * width + column);
    if (this.pixels[at + 3] === 0) return `${this.name}: unknown`;
    const value = this.pixels[at];
    return `${this.name}: ${this.classes ? (this.classes.get(value)?.name ?? value) : (value / 255).toFixed(2)}`;
  }
}
