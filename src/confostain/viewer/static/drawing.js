// Drawing tools: turn clicks on the slide into annotations, and move the corners of the selected one.

import { clockHour, crossesItself, distance, distanceToSegment, insideRing, toScreen } from "./geometry.js";
import { classified, currentClass } from "./classes.js";
import { hasCorners, kindOf, makeFeature, makeMargin, partsOf, pointsOf, withPoints } from "./features.js";
import { HINTS, Painting } from "./painting.js";
import { reveal, shown } from "./visibility.js";

export const TOOLS = {
  hand: "Drag to move. Click an annotation to select it; drag its corners to change it.",
  point: "Click where the point goes.",
  length: "Click along the path; double-click or Enter ends it.",
  region: "Click around the region; double-click, Enter or the first corner closes it.",
  margin: "Click the centre of the specimen.",
  ...HINTS,
};
const MARGIN_STEPS = [
  TOOLS.margin,
  "Click the margin at 12 o'clock.",
  "Click where the margin begins to be involved.",
  "Click where it ends, in the sense of the clock.",
];
const MIN_CORNERS = { length: 2, region: 3 };
const NEAR = 14; // CSS pixels: a finger hits a corner within this
const CROSSES = "The outline touches or crosses itself, so that it has no area.";

export class Drawing {
  /**
   * What is drawn belongs to the slide that it was begun on, `document`.
   * `changed()` is called whenever the annotations must be painted again, `refused(reason)` when nothing was done.
   */
  constructor(annotations, { changed, refused }) {
    Object.assign(this, { annotations, changed, refused, tool: "hand", document: null, points: [], hover: null, grabbed: null });
    this.painting = new Painting(annotations, { add: (document, feature) => this.#add(feature, document), changed, refused });
  }

  take(tool) {
    Object.assign(this, { tool, points: [], hover: null });
    this.painting.take(tool);
    this.changed();
  }

  get hint() {
    return this.tool === "margin" ? MARGIN_STEPS[this.points.length] : TOOLS[this.tool];
  }

  click(pane, point) {
    if (this.painting.tool) this.painting.click(pane, point);
    else if (this.tool === "hand") this.#select(pane, point);
    else this.#put(pane, point);
    this.changed();
  }

  #put(pane, point) {
    if (!this.#belongs(pane)) return;
    const view = pane.view();
    const onFirst = this.points.length >= 3 && distance(toScreen(view, this.points[0]), toScreen(view, point)) < NEAR;
    Object.assign(this, { document: this.annotations.of(pane.slide), scale: view.scale });
    if (this.tool === "point") this.#add(makeFeature("point", [point], this.#mpp));
    else if (this.tool === "region" && onFirst) this.finish(pane);
    else {
      this.points = [...this.points, point];
      if (this.tool === "margin") this.#marginStep(pane);
    }
  }

  /** Whether a pane shows the slide of what is being drawn; says so if not. */
  #belongs(pane) {
    if (this.points.length === 0 || pane.slide.id === this.document.slide.id) return true;
    this.refused(`This was begun on the slide ${this.document.slide.name}; this one is ${pane.slide.name}. End it there, or press Esc.`);
    return false;
  }

  get #mpp() {
    return this.document.slide.microns_per_pixel;
  }

  #add(feature, document = this.document) {
    const made = classified(feature);
    reveal(made);
    this.annotations.select(document, made.id);
    document.add(made);
  }

  #marginStep(pane) {
    const [centre, twelve, from, to] = this.points;
    if (this.points.length === 2) this.clockwise = !pane.view().flipped;
    if (!to) return;
    const face = { centre, twelve, clockwise: this.clockwise };
    this.points = [];
    this.#add(makeMargin(face, clockHour(face, from), clockHour(face, to), this.#mpp));
  }

  /** Ends a path or closes a region. */
  finish(pane) {
    if (!this.#belongs(pane)) return;
    const points = this.points.filter((point, i) => i === 0 || distance(point, this.points[i - 1]) > 2 / this.scale);
    const enough = points.length >= (MIN_CORNERS[this.tool] ?? Infinity);
    if (enough && this.tool === "region" && crossesItself(points)) {
      this.points = points;
      this.refused(`${CROSSES} Remove corners by Backspace, or press Esc.`);
      return;
    }
    if (enough) this.#add(makeFeature(this.tool, points, this.#mpp));
    this.points = [];
    this.changed();
  }

  /** Discards the corners set so far, or else returns to the hand tool. Returns whether there was anything to cancel. */
  cancel() {
    const busy = this.points.length > 0 || this.tool !== "hand";
    if (this.points.length > 0) this.points = [];
    else if (!this.painting.cancel()) this.take("hand");
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
    this.painting.move(pane, point);
    this.hover = this.document?.slide.id === pane.slide.id ? point : null;
    this.changed();
  }

  /** What is being drawn on a slide, for paint.js: {kind, points, face, hours} or null. */
  draft(slide) {
    if (this.painting.tool) return this.painting.draft(slide);
    const draft = this.#draft(slide);
    return draft && { ...draft, color: currentClass()?.color };
  }

  #draft(slide) {
    if (this.points.length === 0 || this.document.slide.id !== slide.id) return null;
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
    const document = this.annotations.of(pane.slide);
    const hits = shown(document.features).filter((feature) => touches(feature, view, at));
    this.annotations.select(document, hits.at(-1)?.id ?? null);
  }

  /** Returns true where a corner was taken, so that the slide does not move. */
  press(pane, point) {
    if (this.painting.tool) return this.painting.press(pane, point);
    const document = this.annotations.of(pane.slide);
    const feature = document.selectedFeature;
    if (this.tool !== "hand" || !feature || !hasCorners(feature)) return false;
    const view = pane.view();
    const at = toScreen(view, point);
    const corner = pointsOf(feature).findIndex((one) => distance(toScreen(view, one), at) < NEAR);
    this.grabbed = corner < 0 ? null : { document, corner, together: false };
    return corner >= 0;
  }

  drag(pane, point) {
    if (this.painting.tool) return this.painting.drag(pane, point);
    if (!this.grabbed) return false;
    const { document, corner, together } = this.grabbed;
    const feature = document.selectedFeature;
    if (!feature || pane.slide.id !== document.slide.id) return true; // removed elsewhere, or beyond the curtain
    const points = pointsOf(feature).map((one, i) => (i === corner ? point : one));
    this.grabbed.crosses = kindOf(feature) === "region" && crossesItself(points);
    if (this.grabbed.crosses) return true;
    document.replace(withPoints(feature, points, document.slide.microns_per_pixel), together);
    this.grabbed.together = true;
    this.changed();
    return true;
  }

  /** Returns true where a corner was moved, so that OpenSeadragon does not flick the slide. */
  release() {
    if (this.painting.tool) return this.painting.release();
    const moved = this.grabbed !== null;
    if (this.grabbed?.crosses) this.refused(`${CROSSES} The corner stays where it last did not.`);
    this.grabbed = null;
    return moved;
  }
}

function touches(feature, view, at) {
  const parts = partsOf(feature).map((part) => part.map((point) => toScreen(view, point)));
  const kind = kindOf(feature);
  if (kind === "point") return parts.some(([point]) => distance(point, at) < NEAR);
  if (kind === "region" && parts.filter((ring) => insideRing(at, ring)).length % 2 === 1) return true;
  const paths = kind === "region" ? parts.map((ring) => [...ring, ring[0]]) : parts;
  return paths.some((path) => path.slice(1).some((point, i) => distanceToSegment(at, path[i], point) < NEAR / 2));
}
