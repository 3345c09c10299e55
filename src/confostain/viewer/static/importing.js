// Import of annotations from a GeoJSON file, such as QuPath's: chosen, or dropped on the page.

import { checkAnnotations } from "./api.js";
import { isLocked, partsOf } from "./features.js";
import { uuid } from "./ids.js";
import { same } from "./merge.js";

const MOST_BYTES = 8 << 20; // as the server takes

/** Calls `take(file)` for a file that is chosen, or dropped anywhere on the page. */
export function bindImport(input, take) {
  input.addEventListener("change", () => {
    if (input.files[0]) take(input.files[0]);
    input.value = ""; // so that the same file can be chosen again
  });
  const holdsFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  document.addEventListener("dragover", (event) => holdsFiles(event) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
  });
}

/** Puts the annotations of a file into a document, in one step of undo; returns what was done. Throws with the reason. */
export async function importFile(file, notes) {
  if (file.size > MOST_BYTES) throw new Error(`${file.name} has ${(file.size / 2 ** 20).toFixed(1)} MB; at most 8 MB can be imported.`);
  const text = await file.text();
  const collection = collectionOf(file.name, text);
  await checkAnnotations(JSON.stringify(collection));
  checkPlace(file.name, collection.features, notes.slide);
  const { fresh, changed, known, locked } = sorted(collection.features, notes);
  notes.putAll([...fresh, ...changed]);
  const counts = [[fresh.length, "new"], [changed.length, "changed"], [known, "already here"], [locked, "locked here and left as they are"]];
  return `${file.name}: ${counts.filter(([count], i) => i === 0 || count > 0).map(([count, what]) => `${count} ${what}`).join(", ")}. Undo takes them back.`;
}

/** QuPath also writes a list of features, or a single one. */
function collectionOf(name, text) {
  let read;
  try {
    read = JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch (error) {
    throw new Error(`${name} is no GeoJSON (${error.message}).`);
  }
  if (Array.isArray(read)) return { type: "FeatureCollection", features: read };
  return read?.type === "Feature" ? { type: "FeatureCollection", features: [read] } : read;
}

/** Annotations that lie outside the slide are those of another one. */
function checkPlace(name, features, slide) {
  const isInside = ([x, y]) => x >= 0 && y >= 0 && x <= slide.width && y <= slide.height;
  const outside = features.filter((feature) => !partsOf(feature).flat().some(isInside)).length;
  if (outside > 0) {
    throw new Error(`${name}: ${outside} of ${features.length} annotations lie outside ${slide.name}, ${slide.width} × ${slide.height} px. Is it the file of another slide? Nothing was imported.`);
  }
}

function sorted(features, notes) {
  const here = new Map(notes.features.map((one) => [one.id, one]));
  const result = { fresh: [], changed: [], known: 0, locked: 0 };
  const seen = new Set();
  for (const feature of features) {
    const id = feature.id === undefined || feature.id === null || seen.has(feature.id) ? uuid() : feature.id;
    seen.add(id);
    const own = { ...feature, id };
    const before = here.get(id);
    if (!before) result.fresh.push(own);
    else if (same(sortedKeys(before), sortedKeys(own))) result.known += 1;
    else if (isLocked(before)) result.locked += 1;
    else result.changed.push(own);
  }
  return result;
}

/** The same value with its members in the order of the alphabet: other programs write them in another one. */
function sortedKeys(value) {
  if (Array.isArray(value)) return value.map(sortedKeys);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sortedKeys(value[key])]));
}
