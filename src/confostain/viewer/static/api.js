// Requests to the server, except those for tiles.

import { suspect } from "./connection.js";

const PATIENCE_MS = 30_000; // for an answer about annotations; the largest that may be saved take 1 s
const MAX_KEEPALIVE = 50_000; // characters; browsers refuse more than 64 kB

async function json(path, options) {
  const response = await fetch(path, options);
  if (!response.ok) throw new Error(`${response.status} from ${path}`);
  return response.json();
}

const slidePath = (slide) => `api/slides/${encodeURIComponent(slide)}`;

export const listSlides = () => json("api/slides");
export const listRefusals = () => json("api/refusals");
export const layerStatus = (slide, layer) => json(`${slidePath(slide)}/status/${encodeURIComponent(layer)}`);
export const thumbnail = (slide, layer) => `${slidePath(slide)}/thumbnail/${encodeURIComponent(layer)}.jpg`;
export const tilePath = (slide, layer) => `${slidePath(slide)}/tiles/${encodeURIComponent(layer)}`;

/** Whether the server answers at all. */
export const isReachable = () =>
  fetch("api/refusals", { cache: "no-store", signal: AbortSignal.timeout(10_000) }).then(() => true, () => false);

async function ask(path, options) {
  try {
    return await fetch(path, { ...options, signal: AbortSignal.timeout(PATIENCE_MS) });
  } catch {
    suspect();
    throw Object.assign(new Error("the server does not respond"), { lost: true });
  }
}

/** An error with the server's own words. */
async function refused(response, doing) {
  const { detail } = await response.json().catch(() => ({}));
  return new Error(typeof detail === "string" ? detail : `${response.status} ${doing}`);
}

/** A file beside a slide, "annotations" or "viewed", and its ETag, which the next write sends back. */
async function readFile(slide, file) {
  const response = await ask(`${slidePath(slide)}/${file}`, { cache: "no-store" });
  if (!response.ok) throw await refused(response, `reading ${file}`);
  return { collection: await response.json(), version: response.headers.get("ETag") };
}

/** Returns the new ETag, or null if the file was changed elsewhere in the meantime. */
async function writeFile(slide, file, collection, version) {
  const headers = { "Content-Type": "application/geo+json" };
  if (version) headers["If-Match"] = version;
  const body = JSON.stringify(collection);
  const keepalive = body.length < MAX_KEEPALIVE; // so that it arrives although the page is being closed
  const response = await ask(`${slidePath(slide)}/${file}`, { method: "PUT", headers, body, keepalive });
  if (response.status === 412) return null;
  if (!response.ok) throw await refused(response, `saving ${file}`);
  return response.headers.get("ETag");
}

export const readAnnotations = (slide) => readFile(slide, "annotations");
export const writeAnnotations = (slide, collection, version) => writeFile(slide, "annotations", collection, version);
export const readViewed = (slide) => readFile(slide, "viewed");
export const writeViewed = (slide, collection, version) => writeFile(slide, "viewed", collection, version);

const overlayPath = (slide, overlay) => `${slidePath(slide)}/overlays/${encodeURIComponent(overlay)}`;

async function answer(path, doing) {
  const response = await ask(path, { cache: "no-store" });
  if (!response.ok) throw await refused(response, doing);
  return response;
}

export const listOverlays = (slide) => answer(`${slidePath(slide)}/overlays`, "listing overlays").then((response) => response.json());
export const overlayFeatures = (slide, overlay) => answer(`${overlayPath(slide, overlay)}/features`, "reading features").then((response) => response.json());
export const overlayPicture = (slide, overlay, channel) => answer(`${overlayPath(slide, overlay)}/${channel}.png`, "reading a map").then((response) => response.blob());

/** {columns, rows, cell, cells} of a slide's tissue mask; null for H&E, which has none. */
export async function readTissue(slide) {
  if (slide.kind === "histology") return null;
  const response = await fetch(`${slidePath(slide.id)}/tissue.png`);
  if (!response.ok) throw await refused(response, "reading the tissue mask");
  const { pixels, columns, rows } = await pixelsOf(await response.blob());
  return { columns, rows, cell: Number(response.headers.get("X-Confostain-Cell")), cells: pixels.filter((_, i) => i % 4 === 0) };
}

/** The RGBA values of a picture. */
export async function pixelsOf(blob) {
  const picture = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  const canvas = Object.assign(document.createElement("canvas"), { width: picture.width, height: picture.height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  return { pixels: context.getImageData(0, 0, canvas.width, canvas.height).data, columns: canvas.width, rows: canvas.height };
}

/** Rejects with the server's message if a text is no GeoJSON that can be saved. */
export async function checkAnnotations(body) {
  const response = await ask("api/annotations/check", { method: "POST", headers: { "Content-Type": "application/geo+json" }, body });
  if (!response.ok) throw await refused(response, "checking");
}

/** Calls `changed` whenever a slide was added or refused, and after every reconnection. */
export function onSlidesChanged(changed) {
  const events = new EventSource("api/events");
  events.addEventListener("error", suspect);
  let opened = false;
  events.addEventListener("open", () => {
    if (opened) changed();
    opened = true;
  });
  ["slides", "slide", "slide-added", "message"].forEach((name) => events.addEventListener(name, () => changed()));
}
