// Hatching of what is not computed yet. It is seen on white glass, on stains and on dark channels alike.

const STEP = 20; // CSS pixels between the lines; each is dark with a light edge
const COLOURS = { dark: "rgb(20 26 32 / 0.6)", light: "rgb(255 255 255 / 0.8)" };

let pattern = null;

/** `tiles` are {corners, preview} in the order in which they lie upon each other, corners in CSS pixels. */
export function hatch(context, tiles) {
  if (!tiles.some(({ preview }) => preview)) return;
  pattern ??= context.createPattern(line(), "repeat");
  context.save();
  for (const { corners, preview } of tiles) {
    context.beginPath();
    corners.forEach(([x, y], i) => (i === 0 ? context.moveTo(x, y) : context.lineTo(x, y)));
    context.globalCompositeOperation = "destination-out";
    context.fill();
    if (!preview) continue;
    Object.assign(context, { globalCompositeOperation: "source-over", fillStyle: pattern });
    context.fill();
  }
  context.restore();
}

/** One square of the pattern: a diagonal line that goes on in the next squares. */
function line() {
  const canvas = Object.assign(document.createElement("canvas"), { width: STEP, height: STEP });
  const context = canvas.getContext("2d");
  for (const [strokeStyle, aside] of [[COLOURS.light, 1.4], [COLOURS.dark, 0]]) {
    Object.assign(context, { strokeStyle, lineWidth: 1.4 });
    context.beginPath();
    for (const x of [-STEP, 0, STEP]) {
      context.moveTo(x + aside - 2, STEP + 2);
      context.lineTo(x + aside + STEP + 2, -2);
    }
    context.stroke();
  }
  return canvas;
}
