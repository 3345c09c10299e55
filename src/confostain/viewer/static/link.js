// Deep links: what is shown, as the part of the address behind "#". Pure functions.
//
// #slide=ID&mode=curtain&layers=LAYER,SLIDE:LAYER&adjust=BRIGHTNESS:GAMMA:BLACK:WHITE,&x=..&y=..&mpp=..&turn=..&flip=1
// x and y in level-0 pixels of the slide, mpp in um per CSS pixel, turn in degrees. Where no pixel size is known, px
// instead of mpp: level-0 pixels per CSS pixel. adjust holds brightness, gamma, black and white point of the layers in the
// same order, the last two where they are set, nothing for one that is not adjusted.

import { NEUTRAL, RANGES } from "./adjust.js";

const number = (text) => (text !== null && text !== "" && Number.isFinite(Number(text)) ? Number(text) : null);

export function formatLink({ slide, mode, panes, view }) {
  const layers = panes.map((pane) => (pane.slide === slide ? pane.layer : `${pane.slide}:${pane.layer}`));
  const fields = [["slide", slide], ["mode", mode], ["layers", layers.join(",")]];
  const adjusted = panes.map(({ adjustment: set }) => (set ? adjustmentText(set) : ""));
  if (adjusted.some(Boolean)) fields.push(["adjust", adjusted.join(",")]);
  if (view) {
    fields.push(["x", view.x.toFixed(0)], ["y", view.y.toFixed(0)]);
    const [unit, size] = view.mpp ? ["mpp", view.mpp] : ["px", view.px];
    fields.push([unit, String(Number(size.toPrecision(4)))]);
    if (view.rotation) fields.push(["turn", String(Number(view.rotation.toFixed(1)))]);
    if (view.flipped) fields.push(["flip", "1"]);
  }
  return "#" + fields.map(([key, value]) => `${key}=${encodeURIComponent(value).replace(/%2C/g, ",").replace(/%3A/g, ":")}`).join("&");
}

function adjustmentText({ brightness, gamma, black, white }) {
  const levels = black === NEUTRAL.black && white === NEUTRAL.white ? [] : [black, white];
  return [Number(brightness.toFixed(3)), Number(gamma.toFixed(3)), ...levels].join(":");
}

/** An adjustment as the link writes it, inside its ranges; undefined if there is none. */
function parseAdjustment(text = "") {
  const values = text.split(":").map(number);
  if (![2, 4].includes(values.length) || values.includes(null)) return undefined;
  const [black, white] = values.length === 4 ? values.slice(2).map(Math.round) : [NEUTRAL.black, NEUTRAL.white];
  if (!(black >= 0 && black < white && white <= 255)) return undefined;
  const inside = (value, [least, most]) => Math.min(most, Math.max(least, value));
  return { brightness: inside(values[0], RANGES.brightness), gamma: inside(values[1], RANGES.gamma), black, white };
}

export function parseLink(hash) {
  const fields = new URLSearchParams(hash.replace(/^#/, ""));
  const slide = fields.get("slide");
  const [x, y, mpp, px] = ["x", "y", "mpp", "px"].map((key) => number(fields.get(key)));
  const adjusted = (fields.get("adjust") ?? "").split(",");
  const placed = x !== null && y !== null && (mpp ?? px) > 0;
  return {
    slide,
    mode: ["single", "curtain", "side"].includes(fields.get("mode")) ? fields.get("mode") : null,
    panes: (fields.get("layers") ?? "").split(",").filter(Boolean).map((text, i) => {
      const [other, layer] = text.includes(":") ? text.split(":") : [slide, text];
      return { slide: other, layer, adjustment: parseAdjustment(adjusted[i]) };
    }),
    view: placed ? { x, y, ...(mpp === null ? { px } : { mpp }), rotation: number(fields.get("turn")) ?? 0, flipped: fields.get("flip") === "1" } : null,
  };
}
