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
  { Point: "point", LineString: "length", Polygon: "region" }[feature.geometry.type] ?? "region";

/** The corners of a feature in the order they were drawn; a polygon's without the repeated last one. */
export function pointsOf({ geometry: { type, coordinates } }) {
  if (type === "Point") return [coordinates];
  if (type === "LineString" || type === "MultiPoint") return coordinates;
  if (type === "Polygon") return coordinates[0].slice(0, -1);
  return type === "MultiPolygon" ? coordinates[0][0].slice(0, -1) : [];
}

/** Whether its corners can be moved one by one: not on a clock face, not in shapes of several parts made elsewhere. */
export function hasCorners(feature) {
  const { type, coordinates } = feature.geometry;
  if (kindOf(feature) === "margin") return false;
  return type === "Point" || type === "LineString" || (type === "Polygon" && coordinates.length === 1);
}

/** The feature with other corners, and its measurements to match: in um, or in px where no pixel size is known. */
export function withPoints(feature, points, mpp) {
  const kind = kindOf(feature);
  const ring = points.map(rounded);
  const [unit, size] = mpp ? ["µm", mpp] : ["px", 1];
  const [geometry, measurements] = {
    point: () => [{ type: "Point", coordinates: ring[0] }, {}],
    length: () => [{ type: "LineString", coordinates: ring }, { [`Length ${unit}`]: pathLength(ring) * size }],
    margin: () => [{ type: "LineString", coordinates: ring }, { [`Length ${unit}`]: pathLength(ring) * size }],
    region: () => [
      { type: "Polygon", coordinates: [[...ring, ring[0]]] },
      { [`Area ${unit}^2`]: ringArea(ring) * size * size, [`Perimeter ${unit}`]: pathLength([...ring, ring[0]]) * size },
    ],
  }[kind]();
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

/** "1.25 mm" or "0.42 mm²": what a geometry measures, holes left out; "" for points. */
export function measureText({ type, coordinates }, mpp) {
  const lines = { LineString: () => [coordinates], MultiLineString: () => coordinates }[type]?.();
  if (lines) return lengthText(lines.reduce((sum, line) => sum + pathLength(line), 0), mpp);
  const polygons = { Polygon: () => [coordinates], MultiPolygon: () => coordinates }[type]?.();
  if (!polygons) return "";
  if (polygons.flat().some(crossesItself)) return "the outline crosses itself";
  const area = ([outer, ...holes]) => holes.reduce((rest, hole) => rest - ringArea(hole), ringArea(outer));
  return areaText(polygons.reduce((sum, polygon) => sum + area(polygon), 0), mpp);
}
