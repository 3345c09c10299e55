// Union and difference of regions, and the area that a brush covers, by Clipper2 in tenths of a level-0 pixel.

import { crossesItself, ringArea } from "./geometry.js";

const SCALE = 10; // annotations are kept in tenths of a pixel
const ARC = 0.0025; // of the radius: how far the corners of a round end may be from the circle
const LEAST = 1; // px²: smaller parts are left out

let loading = null;

/** Clipper2, loaded when it is first needed. */
export function loadClipper() {
  loading ??= Promise.all(["Engine", "Offset", "Core"].map((name) => import(`./vendor/${name}.js`)))
    .then(([engine, offset, core]) => ({ ...engine, ...offset, ...core }));
  loading.catch(() => (loading = null));
  return loading;
}

const toPath = (ring) => ring.map(([x, y]) => ({ x: Math.round(x * SCALE), y: Math.round(y * SCALE) }));
const areaOf = (node) => ringArea(node.poly.map(({ x, y }) => [x, y])) / (SCALE * SCALE);
const toPoint = ({ x, y }) => [x / SCALE, y / SCALE];
const toRing = (path) => [...path, path[0]].map(toPoint);
const pathsOf = ({ type, coordinates }) => (type === "Polygon" ? coordinates : coordinates.flat()).map((ring) => toPath(ring.slice(0, -1)));

/** The region within `radius` of a path of points, in level-0 pixels, as a geometry. */
export function stroked(clipper, points, radius) {
  const offset = new clipper.ClipperOffset(2, radius * SCALE * ARC);
  offset.addPath(toPath(points), clipper.JoinType.Round, clipper.EndType.Round);
  const tree = new clipper.PolyTree64();
  offset.execute(radius * SCALE, tree);
  return geometryOf(clipper, tree);
}

/** `how` is "Union", "Difference" or "Intersection" of two regions; null where nothing is left. */
export function combined(clipper, how, one, other) {
  const engine = new clipper.Clipper64();
  engine.addSubject(pathsOf(one));
  engine.addClip(pathsOf(other));
  const tree = new clipper.PolyTree64();
  engine.execute(clipper.ClipType[how], clipper.FillRule.EvenOdd, tree);
  return geometryOf(clipper, tree);
}

/** A geometry of polygons with holes. Outlines that touch themselves are moved inwards by a tenth of a pixel. */
function geometryOf(clipper, tree, again = true) {
  const polygons = polygonsOf(tree);
  if (polygons.length === 0) return null;
  if (again && polygons.flat().some(crossesItself)) {
    const offset = new clipper.ClipperOffset();
    offset.addPaths(polygons.flat().map((ring) => toPath(ring.slice(0, -1))), clipper.JoinType.Miter, clipper.EndType.Polygon);
    const inner = new clipper.PolyTree64();
    offset.execute(-1, inner);
    return geometryOf(clipper, inner, false);
  }
  return polygons.length === 1 ? { type: "Polygon", coordinates: polygons[0] } : { type: "MultiPolygon", coordinates: polygons };
}

/** Polygons of the outer rings in a node of the tree, and of the islands in their holes. */
function polygonsOf(node) {
  return childrenOf(node).flatMap((outer) => {
    if (areaOf(outer) < LEAST) return [];
    const holes = childrenOf(outer).filter((hole) => areaOf(hole) >= LEAST);
    return [[outer, ...holes].map((part) => toRing(part.poly)), ...holes.flatMap(polygonsOf)];
  });
}

const childrenOf = (node) => Array.from({ length: node.count }, (_, i) => node.child(i));
