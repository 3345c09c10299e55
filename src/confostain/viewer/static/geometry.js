// Coordinate transforms between level-0 pixels of the slide and CSS pixels of the pane. Pure functions.
//
// A view is {x, y, scale, rotation, flipped, width, height}: the level-0 pixel at the centre, CSS pixels per level-0
// pixel, degrees clockwise, mirrored left to right or not, and the size of the pane in CSS pixels.

export function toScreen(view, [x, y]) {
  const turn = (view.rotation * Math.PI) / 180;
  const dx = (x - view.x) * view.scale;
  const dy = (y - view.y) * view.scale;
  const sx = Math.cos(turn) * dx - Math.sin(turn) * dy;
  const sy = Math.sin(turn) * dx + Math.cos(turn) * dy;
  return [view.width / 2 + (view.flipped ? -sx : sx), view.height / 2 + sy];
}

export function toSlide(view, [sx, sy]) {
  const turn = (view.rotation * Math.PI) / 180;
  const dx = (view.flipped ? view.width / 2 - sx : sx - view.width / 2) / view.scale;
  const dy = (sy - view.height / 2) / view.scale;
  return [view.x + Math.cos(turn) * dx + Math.sin(turn) * dy, view.y - Math.sin(turn) * dx + Math.cos(turn) * dy];
}

/** The same transform as six numbers for CanvasRenderingContext2D.transform: level-0 pixels are then drawn in place. */
export function slideTransform({ x, y, scale, rotation, flipped, width, height }) {
  const turn = (rotation * Math.PI) / 180;
  const mirror = flipped ? -1 : 1;
  const [a, b] = [mirror * scale * Math.cos(turn), scale * Math.sin(turn)];
  const [c, d] = [-mirror * scale * Math.sin(turn), scale * Math.cos(turn)];
  return [a, b, c, d, width / 2 - a * x - c * y, height / 2 - b * x - d * y];
}

export const distance = ([ax, ay], [bx, by]) => Math.hypot(bx - ax, by - ay);

export function pathLength(points) {
  return points.slice(1).reduce((sum, point, i) => sum + distance(points[i], point), 0);
}

/** Area inside a closed ring, by the shoelace formula; the last point need not repeat the first. */
export function ringArea(points) {
  let twice = 0;
  points.forEach(([x, y], i) => {
    const [nx, ny] = points[(i + 1) % points.length];
    twice += x * ny - nx * y;
  });
  return Math.abs(twice) / 2;
}

/** Whether the outline of a region touches or crosses itself: its area then means nothing. */
export function crossesItself(ring) {
  const corners = ring.filter((point, i) => distance(point, ring[(i + 1) % ring.length]) > 0);
  const edges = corners.map((a, i) => ({ i, a, b: corners[(i + 1) % corners.length] }));
  const left = ({ a, b }) => Math.min(a[0], b[0]);
  const right = ({ a, b }) => Math.max(a[0], b[0]);
  edges.sort((one, other) => left(one) - left(other));
  const neighbours = (one, other) => [1, edges.length - 1].includes(Math.abs(one.i - other.i));
  return edges.some((edge, k) => {
    for (let next = k + 1; next < edges.length && left(edges[next]) <= right(edge); next += 1) {
      if (!neighbours(edge, edges[next]) && meet(edge, edges[next])) return true;
    }
    return false;
  });
}

function meet({ a, b }, { a: c, b: d }) {
  const side = (p, q, r) => Math.sign((q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]));
  const beside = (p, q, r) => side(p, q, r) === 0 && insideBox(p, q, r);
  if ([[a, b, c], [a, b, d], [c, d, a], [c, d, b]].some((points) => beside(...points))) return true;
  return side(a, b, c) * side(a, b, d) < 0 && side(c, d, a) * side(c, d, b) < 0;
}

const insideBox = (p, q, r) => [0, 1].every((i) => r[i] >= Math.min(p[i], q[i]) && r[i] <= Math.max(p[i], q[i]));

export function distanceToSegment(point, a, b) {
  const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
  const square = dx * dx + dy * dy;
  const along = square === 0 ? 0 : ((point[0] - a[0]) * dx + (point[1] - a[1]) * dy) / square;
  const t = Math.min(1, Math.max(0, along));
  return distance(point, [a[0] + t * dx, a[1] + t * dy]);
}

export function insideRing(point, ring) {
  let inside = false;
  ring.forEach(([x, y], i) => {
    const [px, py] = ring[(i + ring.length - 1) % ring.length];
    if (y > point[1] !== py > point[1] && point[0] < ((px - x) * (point[1] - y)) / (py - y) + x) inside = !inside;
  });
  return inside;
}

// The clock face of a specimen: {centre, twelve, clockwise}. A specimen seen from the other side runs the other way.

export function clockPoint({ centre, twelve, clockwise }, hour) {
  const angle = ((hour * Math.PI) / 6) * (clockwise ? 1 : -1);
  const [dx, dy] = [twelve[0] - centre[0], twelve[1] - centre[1]];
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  return [centre[0] + cos * dx - sin * dy, centre[1] + sin * dx + cos * dy];
}

/** The hour (0 to 12) at which `point` lies, rounded to quarters of an hour. */
export function clockHour({ centre, twelve, clockwise }, point) {
  const zero = Math.atan2(twelve[1] - centre[1], twelve[0] - centre[0]);
  const angle = Math.atan2(point[1] - centre[1], point[0] - centre[0]) - zero;
  const hour = ((clockwise ? angle : -angle) * 6) / Math.PI;
  return (Math.round(hour * 4) / 4 + 24) % 12;
}

/** Points along the face from one hour to another, in the sense of the clock, one per 2.5 degrees. */
export function clockArc(face, from, to) {
  const hours = (to - from + 12) % 12 || 12;
  const steps = Math.ceil(hours * 12);
  return Array.from({ length: steps + 1 }, (_, i) => clockPoint(face, from + (hours * i) / steps));
}

export function clockText(hour) {
  const minutes = Math.round((hour % 1) * 60);
  return `${Math.floor(hour) % 12 || 12}:${String(minutes).padStart(2, "0")}`;
}
