// Legend of what is painted above a slide. It is part of the picture, so that no snapshot is without it.

const FONT = "600 13px system-ui, sans-serif";
const [TOP, ROW, LONGEST] = [64, 24, 60]; // CSS pixels; characters

/** `entries` are {swatch, text} with a colour, or {gradient, text} with the colours of the values from 0 to 1. */
export function paintLegend(context, { width }, entries, onRight) {
  if (entries.length === 0) return;
  context.save();
  Object.assign(context, { font: FONT, textBaseline: "middle", textAlign: "left" });
  const texts = entries.map(({ text, gradient }) => text.slice(0, LONGEST) + (gradient ? ", 0 to 1" : ""));
  const wide = Math.max(...texts.map((text) => context.measureText(text).width)) + 74;
  const left = onRight ? width - wide - 12 : 12;
  context.fillStyle = "rgba(14, 18, 22, 0.88)";
  context.beginPath();
  context.roundRect(left, TOP, wide, ROW * entries.length + 8, 9);
  context.fill();
  entries.forEach(({ swatch, gradient }, i) => {
    const y = TOP + 16 + ROW * i;
    context.fillStyle = "#fff"; // under a gradient, which is translucent, as on glass
    context.fillRect(left + 12, y - 6, swatch ? 14 : 42, 12);
    context.fillStyle = swatch ?? gradientOf(context, left + 12, gradient);
    context.fillRect(left + 12, y - 6, swatch ? 14 : 42, 12);
    context.fillStyle = "#fff";
    context.fillText(texts[i], left + 62, y + 1);
  });
  context.restore();
}

function gradientOf(context, x, stops) {
  const gradient = context.createLinearGradient(x, 0, x + 42, 0);
  stops.forEach(([r, g, b, a], i) => gradient.addColorStop(i / (stops.length - 1), `rgb(${r} ${g} ${b} / ${a / 255})`));
  return gradient;
}
