// Snapshot: the stage as an image, with scale bars, captions and the research-use line as part of it.

import { adjustPixels, adjustedText, isAdjusted } from "./adjust.js";
import { RESEARCH_USE, caption } from "./words.js";
import { lengthText, resolutionText, scaleBar } from "./units.js";

const FOOT = 58; // CSS pixels
const FONT = "system-ui, sans-serif";

/** Resolves when the view is complete and stands still; at once after `isCancelled()`. */
export async function completeView(stage, isCancelled) {
  let frames = 0; // OpenSeadragon notices within two frames that a view has changed
  while (frames < 3 && !isCancelled()) {
    await new Promise(requestAnimationFrame);
    frames = stage.isComplete() ? frames + 1 : 0;
  }
}

/** `paint(pane, context)` paints a pane's annotations; `curtain` is the divider's share of the width. */
export function compose(stage, curtain, paint) {
  const frame = stage.root.getBoundingClientRect();
  const ratio = stage.panes[0].imageCanvas.width / stage.panes[0].root.clientWidth;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [Math.round(frame.width * ratio), Math.round((frame.height + FOOT) * ratio)];
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  context.fillStyle = getComputedStyle(stage.root).backgroundColor;
  context.fillRect(0, 0, frame.width, frame.height);
  for (const [i, pane] of [...stage.panes.entries()].reverse()) {
    const box = pane.root.getBoundingClientRect();
    context.save();
    context.translate(box.left - frame.left, box.top - frame.top);
    context.beginPath();
    const under = stage.mode === "curtain" && i === 1;
    context.rect(0, 0, stage.mode === "curtain" && i === 0 ? box.width * curtain : box.width, box.height);
    context.clip();
    context.fillStyle = getComputedStyle(stage.root).backgroundColor;
    context.fillRect(0, 0, box.width, box.height);
    context.drawImage(adjustedCanvas(pane), 0, 0, box.width, box.height);
    context.drawImage(pane.parts.unfinished, 0, 0, box.width, box.height);
    paint(pane, context);
    context.restore();
    context.save();
    context.translate(box.left - frame.left, box.top - frame.top);
    paintCaption(context, pane, under ? box.width : 0);
    if (stage.showsScale(pane)) paintScale(context, pane, box);
    context.restore();
  }
  if (stage.mode === "curtain") paintDivider(context, frame.width * curtain, frame.height);
  paintFoot(context, stage, frame);
  return canvas;
}

function adjustedCanvas(pane) {
  if (!isAdjusted(pane.adjustmentKey)) return pane.imageCanvas;
  const copy = document.createElement("canvas");
  [copy.width, copy.height] = [pane.imageCanvas.width, pane.imageCanvas.height];
  const context = copy.getContext("2d");
  context.drawImage(pane.imageCanvas, 0, 0);
  context.putImageData(adjustPixels(context.getImageData(0, 0, copy.width, copy.height), pane.adjustmentKey), 0, 0);
  return copy;
}

function paintCaption(context, pane, right) {
  const layer = pane.drawnFacts();
  const preview = { preview: "approximate, not computed yet", broken: "a part cannot be read" }[pane.provenance];
  const text = [layer.label, caption(pane.slide, layer), preview, isAdjusted(pane.adjustmentKey) ? adjustedText(pane.adjustmentKey) : "", pane.parts.hiddenNotes.textContent].filter(Boolean).join("  ·  ");
  context.font = `600 13px ${FONT}`;
  const width = context.measureText(text).width + 22;
  const x = right ? right - width - 12 : 12;
  context.fillStyle = "rgba(14, 18, 22, 0.85)";
  context.beginPath();
  context.roundRect(x, 12, width, 28, 14);
  context.fill();
  Object.assign(context, { fillStyle: "#fff", textBaseline: "middle", textAlign: "left" });
  context.fillText(text, x + 11, 27);
}

function paintScale(context, pane, box) {
  const bar = scaleBar(1 / pane.view().scale, pane.slide.microns_per_pixel, Math.min(140, box.width / 3));
  const [x, y] = [24, box.height - 24];
  context.fillStyle = "rgba(14, 18, 22, 0.8)";
  context.beginPath();
  context.roundRect(12, box.height - 52, bar.pixels + 24, 40, 9);
  context.fill();
  Object.assign(context, { strokeStyle: "#fff", lineWidth: 2, fillStyle: "#fff", textAlign: "center", font: `600 13px ${FONT}` });
  context.beginPath();
  context.moveTo(x, y - 7);
  context.lineTo(x, y);
  context.lineTo(x + bar.pixels, y);
  context.lineTo(x + bar.pixels, y - 7);
  context.stroke();
  context.fillText(bar.text, x + bar.pixels / 2, y - 14);
}

function paintDivider(context, x, height) {
  context.fillStyle = "#fff";
  context.fillRect(x - 1, 0, 2, height);
}

function paintFoot(context, stage, frame) {
  context.fillStyle = "#14181d";
  context.fillRect(0, frame.height, frame.width, FOOT + 1);
  Object.assign(context, { textAlign: "left", textBaseline: "middle", fillStyle: "#fff", font: `600 14px ${FONT}` });
  context.fillText([...stains(stage), RESEARCH_USE].join("  ·  "), 16, frame.height + 20, frame.width - 32);
  Object.assign(context, { fillStyle: "#a3afba", font: `13px ${FONT}` });
  const view = stage.sharedView();
  const { x, y, px, rotation, flipped } = view;
  const { name, microns_per_pixel: mpp } = stage.active.slide;
  const place = `${name}  ·  ${resolutionText(view)}  ·  centre ${Math.round(x)}, ${Math.round(y)} px`;
  const width = `  ·  ${lengthText(frame.width * px, mpp)} wide`;
  const turned = `${rotation % 360 ? `  ·  turned ${Math.round(rotation % 360)}°` : ""}${flipped ? "  ·  mirrored" : ""}`;
  context.fillText(place + (stage.panes.length === 1 ? width : "") + turned, 16, frame.height + 41, frame.width - 32);
}

const stains = (stage) => [...new Set(stage.panes.map((pane) => pane.drawnFacts()).filter((layer) => layer.kind === "stain").map((layer) => caption(null, layer)))];

export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** A slide's name as part of a file's name. */
export const fileName = (text) => text.replace(/[^\p{L}\p{N}._-]+/gu, "-").replace(/^-+|-+$/g, "") || "slide";
