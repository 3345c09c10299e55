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
  return new Error(typeof detail === "string" ? detail : `${response.status} ${doing} annotations`);
}

/** The annotations and their ETag, which the next write sends back. */
export async function readAnnotations(slide) {
  const response = await ask(`${slidePath(slide)}/annotations`, { cache: "no-store" });
  if (!response.ok) throw await refused(response, "reading");
  return { collection: await response.json(), version: response.headers.get("ETag") };
}

/** Returns the new ETag, or null if the annotations were changed elsewhere in the meantime. */
export async function writeAnnotations(slide, collection, version) {
  const headers = { "Content-Type": "application/geo+json" };
  if (version) headers["If-Match"] = version;
  const body = JSON.stringify(collection);
  const keepalive = body.length < MAX_KEEPALIVE; // so that it arrives although the page is being closed
  const response = await ask(`${slidePath(slide)}/annotations`, { method: "PUT", headers, body, keepalive });
  if (response.status === 412) return null;
  if (!response.ok) throw await refused(response, "saving");
  return response.headers.get("ETag");
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
