// Authors of annotations, and when: texts in the metadata of a feature, which QuPath keeps. The reader's name is what was
// entered on this browser, nothing otherwise.

const KEY = "confostain-author";

export function author() {
  try {
    return localStorage.getItem(KEY) ?? "";
  } catch {
    return ""; // no access to storage
  }
}

/** Keep the reader's name; returns false if the browser keeps nothing. */
export function keepAuthor(name) {
  try {
    localStorage.setItem(KEY, name.trim());
    return true;
  } catch {
    return false;
  }
}

const now = () => new Date().toISOString().replace(/\.\d+Z$/, "Z");

const withMetadata = (feature, metadata) => ({ ...feature, properties: { ...feature.properties, metadata } });

/** A new feature with its author, where known, and time. */
export function signed(feature) {
  const { metadata } = feature.properties;
  return withMetadata(feature, { ...metadata, ...(author() && { author: author() }), created: now() });
}

/** A changed feature with who changed it, where known, and when. */
export function touched(feature) {
  const { changedBy, ...rest } = feature.properties?.metadata ?? {};
  return withMetadata(feature, { ...rest, ...(author() && { changedBy: author() }), changed: now() });
}

const time = (iso) => (Number.isNaN(Date.parse(iso)) ? iso : new Date(iso).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" }));

/** "anna, 28 Nov 2026, 11:40; changed by ben, ..."; "" where nothing is known. */
export function signature(feature) {
  const metadata = feature.properties?.metadata ?? {};
  const drawn = [metadata.author, metadata.created && time(metadata.created)].filter(Boolean).join(", ");
  const changed = metadata.changed && ["changed", metadata.changedBy && `by ${metadata.changedBy},`, time(metadata.changed)].filter(Boolean).join(" ");
  return [drawn, changed].filter(Boolean).join("; ");
}
