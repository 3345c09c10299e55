// Paints annotations on a canvas: the one above a pane, or a snapshot's.

import { clockArc, clockPoint, distance, toScreen } from "./geometry.js";
import { KINDS, faceOf, hasCorners, kindOf, measureText, partsOf, pointsOf } from "./features.js";

const FONT = "600 13px system-ui, sans-serif";
const SHADE = "rgba(0, 0, 0, 0.65)"; // every line has a dark border: it must be seen on white glass and on dark scans

const css = ([r, g, b]) => `rgb(${r} ${g} ${b})`;

/** `mpp` is null where no pixel size is known; `drawing` is {features, selected, draft}, see drawing.js. */
export function paintAnnotations(context, view, mpp, { features, selected, draft }) {
  context.save();
  context.font = FONT;
  Object.assign(context, { lineJoin: "round", lineCap: "round", textBaseline: "middle" });
  for (const feature of features) {
    if (isInView(view, feature)) paintFeature(context, view, mpp, feature, feature.id === selected);
  }
  if (draft) paintDraft(context, view, mpp, draft);
  context.restore();
}

const circles = new WeakMap(); // feature -> a circle around it: thousands of cells are passed over at every frame

const measures = new WeakMap(); // feature -> text

function isInView(view, feature) {
  if (!circles.has(feature)) circles.set(feature, circleAround(partsOf(feature).flat(), faceOf(feature)));
  const { centre, radius } = circles.get(feature);
  const reach = Math.hypot(view.width, view.height) / 2 / view.scale;
  return distance(centre, [view.x, view.y]) < reach + radius;
}

function circleAround(points, face) {
  const [centre, all] = face ? [face.centre, [...points, face.twelve]] : [points[0] ?? [0, 0], points];
  return { centre, radius: all.reduce((far, point) => Math.max(far, distance(centre, point)), 0) };
}

function paintFeature(context, view, mpp, feature, selected) {
  const kind = kindOf(feature);
  const points = pointsOf(feature);
  if (points.length === 0) return;
  const color = css(feature.properties?.classification?.color ?? KINDS[kind].color);
  const face = kind === "margin" ? faceOf(feature) : null;
  if (face) paintFace(context, view, face, color, selected);
  paintShape(context, view, kind, partsOf(feature), color, selected);
  if (selected && hasCorners(feature)) points.forEach((point) => paintHandle(context, toScreen(view, point), color));
  if (!measures.has(feature)) measures.set(feature, measureText(feature.geometry, mpp));
  const text = [feature.properties?.name, measures.get(feature)].filter(Boolean).join("  ");
  if (text) paintLabel(context, labelPlace(view, kind, points), text);
}

function paintDraft(context, view, mpp, draft) {
  const { kind, points, face, hours, plain } = draft;
  if (kind === "brush") return paintBrush(context, view, draft);
  const color = css(draft.color ?? KINDS[kind].color);
  if (face) {
    paintFace(context, view, face, color, true);
    if (hours.length === 2) paintShape(context, view, "margin", [clockArc(face, ...hours)], color, true);
    else if (hours.length === 1) paintHandle(context, toScreen(view, clockPoint(face, hours[0])), color);
    return;
  }
  paintShape(context, view, kind === "margin" ? "point" : kind, kind === "margin" || kind === "point" ? points.map((point) => [point]) : [points], color, true);
  if (!plain) points.forEach((point) => paintHandle(context, toScreen(view, point), color));
  const geometry = { length: ["LineString", points], region: ["Polygon", [points]] }[points.length > 1 && kind] ?? [];
  const text = measureText({ type: geometry[0], coordinates: geometry[1] }, mpp);
  if (text) paintLabel(context, labelPlace(view, kind, points), text);
}

/** What a brush covers, and the brush itself. */
function paintBrush(context, view, { points, radius, cursor, cursorRadius, color }) {
  if (points.length > 0) {
    const places = points.map((point) => toScreen(view, point));
    trace(context, [...places, [places.at(-1)[0] + 0.01, places.at(-1)[1]]], false); // a stroke of one point is a disc
    Object.assign(context, { strokeStyle: css(color).replace(")", " / 0.4)"), lineWidth: 2 * radius * view.scale });
    context.stroke();
  }
  if (!cursor) return;
  context.beginPath();
  context.arc(...toScreen(view, cursor), cursorRadius, 0, 2 * Math.PI);
  for (const [strokeStyle, lineWidth] of [[SHADE, 4], ["#fff", 1.5]]) {
    Object.assign(context, { strokeStyle, lineWidth });
    context.stroke();
  }
}

function trace(context, points, closed) {
  context.beginPath();
  addPath(context, points, closed);
}

function addPath(context, points, closed) {
  points.forEach(([x, y], i) => (i === 0 ? context.moveTo(x, y) : context.lineTo(x, y)));
  if (closed) context.closePath();
}

function paintShape(context, view, kind, parts, color, strong) {
  const places = parts.map((part) => part.map((point) => toScreen(view, point)));
  if (kind === "point") {
    places.flat().forEach((place) => paintPin(context, place, color, strong));
    return;
  }
  context.beginPath();
  places.forEach((part) => addPath(context, part, kind === "region"));
  if (kind === "region" && strong) {
    context.fillStyle = color.replace(")", " / 0.12)");
    context.fill("evenodd");
  }
  const width = (kind === "margin" ? 4 : 2) + (strong ? 1 : 0);
  for (const [style, lineWidth] of [[SHADE, width + 2.5], [color, width]]) {
    Object.assign(context, { strokeStyle: style, lineWidth });
    context.stroke();
  }
}

function paintPin(context, [x, y], color, strong) {
  context.beginPath();
  context.arc(x, y, strong ? 8 : 6, 0, 2 * Math.PI);
  Object.assign(context, { fillStyle: color, strokeStyle: SHADE, lineWidth: 2 });
  context.fill();
  context.stroke();
}

function paintHandle(context, [x, y], color) {
  context.beginPath();
  context.arc(x, y, 5, 0, 2 * Math.PI);
  Object.assign(context, { fillStyle: "#fff", strokeStyle: color, lineWidth: 2 });
  context.fill();
  context.stroke();
}

function paintFace(context, view, face, color, strong) {
  const ring = clockArc(face, 0, 0).map((point) => toScreen(view, point));
  trace(context, ring, true);
  context.setLineDash([4, 6]);
  for (const [strokeStyle, lineWidth] of [[SHADE, 3], [color, 1.25]]) {
    Object.assign(context, { strokeStyle, lineWidth });
    context.stroke();
  }
  context.setLineDash([]);
  const centre = toScreen(view, face.centre);
  context.textAlign = "center";
  for (const hour of strong ? [12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11] : [12, 3, 6, 9]) {
    const [x, y] = toScreen(view, clockPoint(face, hour));
    const away = Math.hypot(x - centre[0], y - centre[1]) || 1;
    const [lx, ly] = [x + ((x - centre[0]) / away) * 16, y + ((y - centre[1]) / away) * 16];
    if (away < 40 && hour !== 12) continue;
    Object.assign(context, { strokeStyle: SHADE, lineWidth: 3, fillStyle: "#fff" });
    context.strokeText(String(hour), lx, ly);
    context.fillText(String(hour), lx, ly);
  }
}

function labelPlace(view, kind, points) {
  const places = points.map((point) => toScreen(view, point));
  if (kind === "point") return [places[0][0] + 12, places[0][1]];
  if (kind !== "region") {
    const middle = places[Math.floor(places.length / 2)];
    return [middle[0] + 10, middle[1] - 14];
  }
  return [Math.max(...places.map(([x]) => x)) + 8, places.reduce((sum, [, y]) => sum + y, 0) / places.length];
}

function paintLabel(context, [x, y], text) {
  context.textAlign = "left";
  const width = context.measureText(text).width;
  context.fillStyle = "rgba(14, 18, 22, 0.82)";
  context.beginPath();
  context.roundRect(x - 6, y - 11, width + 12, 22, 6);
  context.fill();
  context.fillStyle = "#fff";
  context.fillText(text, x, y + 1);
}
