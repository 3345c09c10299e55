// Drawing tools: turn clicks on the slide into annotations, and move the corners of the selected one.

import { clockHour, distance, distanceToSegment, insideRing, toScreen } from "./geometry.js";
import { hasCorners, kindOf, makeFeature, makeMargin, pointsOf, withPoints } from "./features.js";

export const TOOLS = {
  hand: "Drag to move. Click an annotation to select it; drag its corners to change it.",
  point: "Click where the point goes.",
  length: "Click along the path; double-click or Enter ends it.",
  region: "Click around the region; double-click, Enter or the first corner closes it.",
  margin: "Click the centre of the specimen.",
};
const MARGIN_STEPS = [
  TOOLS.margin,
  "Click the margin at 12 o'clock.",
  "Click where the margin begins to be involved.",
  "Click where it ends, in the sense of the clock.",
];
const MIN_CORNERS = { length: 2, region: 3 };
const NEAR = 14; // CSS pixels: a finger hits a corner within this

export class Drawing {
  /** `changed()` is called whenever the annotations must be painted again. */
  constructor(annotations, changed) {
    Object.assign(this, { annotations, changed, tool: "hand", points: [], hover: null, grabbed: null });
  }

  take(tool) {
    Object.assign(this, { tool, points: [], hover: null });
    this.changed();
  }

  get hint() {
    return this.tool === "margin" ? MARGIN_STEPS[this.points.length] : TOOLS[this.tool];
  }

  click(pane, point) {
    if (this.tool === "hand") this.#select(pane, point);
    else this.#put(pane, point);
    this.changed();
  }

  #put(pane, point) {
    const mpp = pane.slide.microns_per_pixel;
    const view = pane.view();
    const onFirst = this.points.length >= 3 && distance(toScreen(view, this.points[0]), toScreen(view, point)) < NEAR;
    if (this.tool === "point") this.annotations.add(makeFeature("point", [point], mpp));
    else if (this.tool === "region" && onFirst) this.finish(pane);
    else {
      this.points = [...this.points, point];
      if (this.tool === "margin") this.#marginStep(pane, mpp);
    }
  }

  #marginStep(pane, mpp) {
    const [centre, twelve, from, to] = this.points;
    if (this.points.length === 2) this.clockwise = !pane.view().flipped;
    if (!to) return;
    const face = { centre, twelve, clockwise: this.clockwise };
    this.points = [];
    this.annotations.add(makeMargin(face, clockHour(face, from), clockHour(face, to), mpp));
  }

  /** Ends a path or closes a region. */
  finish(pane) {
    const points = this.points.filter((point, i) => i === 0 || distance(point, this.points[i - 1]) > 2 / pane.view().scale);
    if (points.length >= (MIN_CORNERS[this.tool] ?? Infinity)) {
      this.annotations.add(makeFeature(this.tool, points, pane.slide.microns_per_pixel));
    }
    this.points = [];
    this.changed();
  }

  /** Discards the corners set so far, or else returns to the hand tool. Returns whether there was anything to cancel. */
  cancel() {
    const busy = this.points.length > 0 || this.tool !== "hand";
    if (this.points.length > 0) this.points = [];
    else this.tool = "hand";
    this.changed();
    return busy;
  }

  backspace() {
    if (this.points.length === 0) return false;
    this.points = this.points.slice(0, -1);
    this.changed();
    return true;
  }

  move(pane, point) {
    if (this.tool === "hand") return;
    this.hover = point;
    this.changed();
  }

  /** What is being drawn, for paint.js: {kind, points, face, hours} or null. */
  draft() {
    if (this.points.length === 0) return null;
    const points = this.hover ? [...this.points, this.hover] : this.points;
    if (this.tool !== "margin") return { kind: this.tool, points };
    const [centre, twelve, ...ends] = points;
    if (!twelve) return { kind: "margin", points: [centre] };
    const face = { centre, twelve, clockwise: this.clockwise ?? true };
    return { kind: "margin", points: [], face, hours: ends.map((end) => clockHour(face, end)) };
  }

  #select(pane, point) {
    const view = pane.view();
    const at = toScreen(view, point);
    const hits = this.annotations.features.filter((feature) => touches(feature, view, at));
    this.annotations.select(hits.at(-1)?.id ?? null);
  }

  /** Returns true where a corner was taken, so that the slide does not move. */
  press(pane, point) {
    const feature = this.annotations.selectedFeature;
    if (this.tool !== "hand" || !feature || !hasCorners(feature)) return false;
    const view = pane.view();
    const at = toScreen(view, point);
    const corner = pointsOf(feature).findIndex((one) => distance(toScreen(view, one), at) < NEAR);
    this.grabbed = corner < 0 ? null : { corner, together: false };
    return corner >= 0;
  }

  drag(pane, point) {
    if (!this.grabbed) return false;
    const feature = this.annotations.selectedFeature;
    const points = pointsOf(feature).map((one, i) => (i === this.grabbed.corner ? point : one));
    this.annotations.replace(withPoints(feature, points, pane.slide.microns_per_pixel), this.grabbed.together);
    this.grabbed.together = true;
    this.changed();
    return true;
  }

  /** Returns true where a corner was moved, so that OpenSeadragon does not flick the slide. */
  release() {
    const moved = this.grabbed !== null;
    this.grabbed = null;
    return moved;
  }
}

function touches(feature, view, at) {
  const points = pointsOf(feature).map((point) => toScreen(view, point));
  const kind = kindOf(feature);
  if (kind === "point") return points.some((point) => distance(point, at) < NEAR);
  if (kind === "region" && insideRing(at, points)) return true;
  const closed = kind === "region" ? [...points, points[0]] : points;
  return closed.slice(1).some((point, i) => distanceToSegment(at, closed[i], point) < NEAR / 2);
}
