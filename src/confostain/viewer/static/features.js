// Annotations as GeoJSON features in QuPath's dialect, in level-0 pixels. Pure functions.

import { clockArc, clockText, crossesItself, pathLength, ringArea } from "./geometry.js";
import { areaText, lengthText } from "./units.js";
import { uuid } from "./ids.js";

export const KINDS = {
  point: { name: "Point", color: [255, 200, 60] },
  length: { name: "Length", color: [96, 205, 255] },
  region: { name: "Region", color: [130, 230, 150] },
  margin: { name: "Margin", color: [255, 120, 130] },
};

const rounded = (point) => point.map((value) => Math.round(value * 10) / 10);

export function makeFeature(kind, points, mpp, extra = {}) {
  const feature = {
    type: "Feature",
    id: uuid(),
    geometry: { type: "Point", coordinates: rounded(points[0]) },
    properties: { objectType: "annotation", name: extra.name ?? "", classification: { ...KINDS[kind] }, metadata: { kind, ...extra.metadata } },
  };
  return withPoints(feature, points, mpp);
}

export const kindOf = (feature) =>
  (Object.hasOwn(KINDS, feature.properties?.metadata?.kind) ? feature.properties.metadata.kind : null) ??
  { Point: "point", MultiPoint: "point", LineString: "length", MultiLineString: "length" }[feature.geometry.type] ?? "region";

/** The corners of a feature in the order they were drawn; a polygon's without the repeated last one. */
export function pointsOf({ geometry: { type, coordinates } }) {
  if (type === "Point") return [coordinates];
  if (type === "LineString" || type === "MultiPoint") return coordinates;
  if (type === "Polygon") return coordinates[0].slice(0, -1);
  return type === "MultiPolygon" ? coordinates[0][0].slice(0, -1) : [];
}

/** All parts of a feature: points, paths, and rings without the repeated last corner. */
export function partsOf({ geometry: { type, coordinates } }) {
  const open = (ring) => ring.slice(0, -1);
  return {
    Point: () => [[coordinates]], MultiPoint: () => coordinates.map((point) => [point]),
    LineString: () => [coordinates], MultiLineString: () => coordinates,
    Polygon: () => coordinates.map(open), MultiPolygon: () => coordinates.flat().map(open),
  }[type]();
}

export const isLocked = (feature) => feature?.properties?.isLocked === true;

/**
 * Whether its corners can be moved one by one: not if it is locked, not on a clock face, an ellipse or a painted region,
 * not in shapes of several parts made elsewhere.
 */
export function hasCorners(feature) {
  const { type, coordinates } = feature.geometry;
  if (isLocked(feature) || kindOf(feature) === "margin" || feature.properties?.metadata?.shape) return false;
  return type === "Point" || type === "LineString" || (type === "Polygon" && coordinates.length === 1);
}

/** The feature with other corners, and its measurements to match. */
export function withPoints(feature, points, mpp) {
  const corners = points.map(rounded);
  const kind = kindOf(feature);
  if (kind === "point") return withGeometry(feature, { type: "Point", coordinates: corners[0] }, mpp);
  if (kind === "region") return withGeometry(feature, { type: "Polygon", coordinates: [[...corners, corners[0]]] }, mpp);
  return withGeometry(feature, { type: "LineString", coordinates: corners }, mpp);
}

/** The feature with another geometry, and its measurements to match: in um, or in px where no pixel size is known. */
export function withGeometry(feature, geometry, mpp) {
  const [unit, size] = mpp ? ["µm", mpp] : ["px", 1];
  const { length, area, perimeter } = measuresOf(geometry);
  const all = { [`Length ${unit}`]: length && length * size, [`Area ${unit}^2`]: area && area * size * size, [`Perimeter ${unit}`]: perimeter && perimeter * size };
  const measurements = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null));
  return { ...feature, geometry, properties: { ...feature.properties, measurements } };
}

/** The part of a margin from one hour to another on a clock face; centre and twelve o'clock stay in the metadata. */
export function makeMargin(face, from, to, mpp) {
  const name = `Margin ${clockText(from)} to ${clockText(to)}`;
  const metadata = {
    from: clockText(from), to: clockText(to), clockwise: String(face.clockwise),
    centre: rounded(face.centre).join(","), twelve: rounded(face.twelve).join(","),
  };
  return makeFeature("margin", clockArc(face, from, to), mpp, { name, metadata });
}

/** The clock face a margin was drawn on, or null. */
export function faceOf(feature) {
  const { centre, twelve, clockwise } = feature.properties?.metadata ?? {};
  if (!centre || !twelve) return null;
  return { centre: centre.split(",").map(Number), twelve: twelve.split(",").map(Number), clockwise: clockwise !== "false" };
}

/**
 * {length, area, perimeter} of a geometry in pixels, each null where there is none; area also where an outline crosses
 * itself. Holes are left out of areas, and their outlines are part of the perimeter.
 */
export function measuresOf({ type, coordinates }) {
  const none = { length: null, area: null, perimeter: null };
  const lines = { LineString: () => [coordinates], MultiLineString: () => coordinates }[type]?.();
  if (lines) return { ...none, length: lines.reduce((sum, line) => sum + pathLength(line), 0) };
  const polygons = { Polygon: () => [coordinates], MultiPolygon: () => coordinates }[type]?.();
  if (!polygons) return none;
  const perimeter = polygons.flat().reduce((sum, ring) => sum + pathLength(ring), 0);
  if (polygons.flat().some(crossesItself)) return { ...none, perimeter };
  const areaOf = ([outer, ...holes]) => holes.reduce((rest, hole) => rest - ringArea(hole), ringArea(outer));
  return { length: null, area: polygons.reduce((sum, polygon) => sum + areaOf(polygon), 0), perimeter };
}

/** "1.25 mm" or "0.42 mm²": what a geometry measures, holes left out; "" for points. */
export function measureText(geometry, mpp) {
  const { length, area, perimeter } = measuresOf(geometry);
  if (length !== null) return lengthText(length, mpp);
  if (area !== null) return areaText(area, mpp);
  return perimeter === null ? "" : "the outline crosses itself";
}
