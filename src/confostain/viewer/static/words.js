// Captions of layers and of what computed their pixels. Pure functions.

export const RESEARCH_USE = "For Research Use Only. Not for use in diagnostic procedures.";

export function caption(slide, layer) {
  if (layer.kind === "stain") return `digitally stained: ${layer.id}`;
  if (layer.kind === "histology") return layer.label === "H&E" ? "real H&E" : layer.label; // a result of `stain` is none
  return "not stained";
}

/** What computed the pixels in view: {state, text} from the sources of the tiles that are drawn. */
export function describeSource(layer, sources, failed = false) {
  if (failed) return { state: "broken", text: "A part of the slide cannot be read" };
  if (layer.kind !== "stain") return { state: "plain", text: "" };
  if (layer.closed_form) return { state: "plain", text: "Closed-form stain" };
  if (sources.has("closed-form")) return { state: "preview", text: "Preview: closed-form stain, until the network has computed this area" };
  if (sources.has("average")) return { state: "network", text: "Overview: average of the network's pixels" };
  return sources.has("network") ? { state: "network", text: "Pixels of the network" } : { state: "plain", text: "" };
}
