// Tools that paint areas by dragging: ellipse, brush and eraser.

import { classOf, currentClass } from "./classes.js";
import { distance, insideRing, toScreen, toSlide } from "./geometry.js";
import { KINDS, isLocked, kindOf, makeFeature, partsOf, withGeometry } from "./features.js";
import { combined, loadClipper, stroked } from "./regions.js";
import { isVisible } from "./visibility.js";

export const HINTS = {
  ellipse: "Drag from corner to corner of the box around it, or click both corners.",
  brush: "Drag to paint. A stroke that touches the selected region of its class joins it.",
  eraser: "Drag over the selected region, or from inside another one, to remove a part.",
};
const LEAST = 4; // CSS pixels: smaller ellipses are none
const CORNERS = 120; // of an ellipse: its area is 0.05 % too small

export class Painting {
  /** `add(document, feature)` adds an annotation; `changed` and `refused` as in Drawing. */
  constructor(annotations, { add, changed, refused }) {
    Object.assign(this, { annotations, add, changed, refused, tool: null, radius: 20, stroke: null, hover: null });
  }

  take(tool) {
    Object.assign(this, { tool: Object.hasOwn(HINTS, tool) ? tool : null, stroke: null, pressed: null });
    if (this.tool && tool !== "ellipse") {
      loadClipper().catch(() => this.refused("The brush needs Clipper2, which is missing from this installation; see docs/viewer.md."));
    }
  }

  /** Ends what was begun without a result; returns whether there was anything. */
  cancel() {
    const busy = this.stroke !== null;
    this.stroke = null;
    return busy;
  }

  /** These three return true where a tool of these is in use, so that the slide does not move. */
  press(pane, point) {
    if (!this.tool) return false;
    if (this.stroke?.dragged) this.stroke = null; // a second finger
    this.pressed = { pane, point };
    return true;
  }

  drag(pane, point) {
    if (!this.tool) return false;
    const goesOn = this.tool === "ellipse" && this.stroke; // its first corner was clicked
    if (this.pressed && !goesOn) this.#begin(this.pressed, true);
    this.pressed = null;
    if (this.stroke && pane.slide.id === this.stroke.document.slide.id) this.#extend(pane, point);
    return true;
  }

  release() {
    const { tool, stroke } = this;
    if (!tool) return false;
    if (tool === "ellipse" && stroke && isSmall(stroke)) Object.assign(stroke, { dragged: false, points: stroke.points.slice(0, 1) });
    else if (stroke) this.#finish();
    return true;
  }

  /** A click sets a corner of an ellipse, or paints a disc; that after a short drag, which has done so already, does nothing. */
  click(pane, point) {
    if (!this.pressed) return;
    this.pressed = null;
    if (this.tool === "ellipse" && this.stroke) {
      if (pane.slide.id !== this.stroke.document.slide.id) return;
      this.#extend(pane, point);
    } else this.#begin({ pane, point }, false);
    if (this.tool !== "ellipse" || this.stroke.points.length > 1) this.#finish();
  }

  move(pane, point) {
    this.hover = { slide: pane.slide.id, point };
    if (this.tool === "ellipse" && this.stroke && !this.stroke.dragged && this.hover.slide === this.stroke.document.slide.id) this.stroke.ahead = point;
  }

  #begin({ pane, point }, dragged) {
    const view = pane.view();
    this.stroke = { tool: this.tool, dragged, document: this.annotations.of(pane.slide), view, radius: this.radius / view.scale, points: [point] };
  }

  #extend(pane, point) {
    const { stroke } = this;
    if (stroke.tool === "ellipse") stroke.points = [stroke.points[0], point];
    else if (distance(stroke.points.at(-1), point) * stroke.view.scale >= 1) stroke.points.push(point);
    this.changed();
  }

  async #finish() {
    const { stroke } = this;
    if (stroke.tool === "ellipse") this.#addEllipse(stroke);
    else {
      const clipper = await loadClipper().catch(() => null); // `take` said so
      if (clipper && stroke.tool === "brush") this.#paint(clipper, stroke);
      else if (clipper) this.#erase(clipper, stroke);
    }
    if (this.stroke === stroke) this.stroke = null;
    this.changed();
  }

  #addEllipse(stroke) {
    const { document, view, points } = stroke;
    if (!isSmall(stroke)) this.#addRegion(document, { type: "Polygon", coordinates: [closed(ellipse(view, points))] }, "ellipse");
  }

  #addRegion(document, geometry, shape) {
    const feature = makeFeature("region", [[0, 0], [1, 0], [1, 1]], null, { metadata: { shape } });
    this.add(document, withGeometry(feature, geometry, document.slide.microns_per_pixel));
  }

  #paint(clipper, { document, points, radius }) {
    const area = stroked(clipper, points, radius);
    const feature = document.selectedFeature;
    if (feature && isRegion(feature) && !isLocked(feature) && isVisible(feature) && this.#isOfCurrentClass(feature)) {
      if (combined(clipper, "Intersection", feature.geometry, area)) {
        document.replace(reshaped(feature, combined(clipper, "Union", feature.geometry, area), document));
        return;
      }
    }
    this.#addRegion(document, area, "brush");
  }

  #isOfCurrentClass(feature) {
    return currentClass() === null || classOf(feature)?.name === currentClass().name;
  }

  #erase(clipper, { document, points, radius }) {
    const chosen = document.selectedFeature;
    const under = document.features.findLast((one) => isRegion(one) && isVisible(one) && isInside(points[0], one));
    const feature = chosen && isRegion(chosen) && isVisible(chosen) ? chosen : under;
    if (!feature) return this.refused("There is no region to erase from. Click one with the hand, or begin inside one.");
    const rest = combined(clipper, "Difference", feature.geometry, stroked(clipper, points, radius));
    if (rest === null) document.remove(feature.id);
    else document.replace(reshaped(feature, rest, document));
  }

  /** What is being painted on a slide, for paint.js, or null. */
  draft(slide) {
    const color = (currentClass() ?? KINDS.region).color;
    const { stroke, hover } = this;
    const own = stroke?.document.slide.id === slide.id ? stroke : null;
    if (this.tool === "ellipse") {
      const points = own ? [own.points[0], own.points[1] ?? own.ahead].filter(Boolean) : [];
      return points.length < 2 ? null : { kind: "region", points: ellipse(own.view, points), color, plain: true };
    }
    if (!this.tool || (!own && hover?.slide !== slide.id)) return null;
    return { kind: "brush", points: own?.points ?? [], radius: own?.radius, cursor: hover?.slide === slide.id ? hover.point : null, cursorRadius: this.radius, color: this.tool === "eraser" ? [255, 255, 255] : color };
  }
}

/** Whether the box of an ellipse is too small on the screen. */
function isSmall({ view, points }) {
  const [a, b = a] = points.map((point) => toScreen(view, point));
  return Math.min(Math.abs(a[0] - b[0]), Math.abs(a[1] - b[1])) < LEAST;
}

const isRegion = (feature) => kindOf(feature) === "region";
const closed = (points) => [...points, points[0]].map((point) => point.map((value) => Math.round(value * 10) / 10));
const isInside = (point, feature) => partsOf(feature).filter((ring) => insideRing(point, ring)).length % 2 === 1;

/** A region whose outline was painted: its corners are too many to be dragged. */
function reshaped(feature, geometry, document) {
  const metadata = { ...feature.properties?.metadata, kind: "region", shape: "brush" };
  return withGeometry({ ...feature, properties: { ...feature.properties, metadata } }, geometry, document.slide.microns_per_pixel);
}

/** Corners of the ellipse in the box between two points, upright on the screen. */
function ellipse(view, points) {
  const [a, b] = points.map((point) => toScreen(view, point));
  const [cx, cy, rx, ry] = [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2, Math.abs(a[0] - b[0]) / 2, Math.abs(a[1] - b[1]) / 2];
  return Array.from({ length: CORNERS }, (_, i) => {
    const angle = (2 * Math.PI * i) / CORNERS;
    return toSlide(view, [cx + rx * Math.cos(angle), cy + ry * Math.sin(angle)]);
  });
}
