// Captions of layers and of what computed their pixels. Pure functions.

export const RESEARCH_USE = "For Research Use Only. Not for use in diagnostic procedures.";

export function caption(slide, layer) {
  if (layer.kind === "stain") return `digitally stained: ${layer.id}`;
  const colours = layer.colours ? `, ${layer.colours}` : "";
  if (layer.kind === "histology") return (layer.label === "H&E" ? "real H&E" : layer.label) + colours; // a result of `stain` is none
  return `not stained${colours}`;
}

/** What computed the pixels in view: {state, text} from the sources of the tiles that are drawn. */
export function describeSource(layer, sources, failed = false) {
  if (failed) return { state: "broken", text: "A part of the slide cannot be read" };
  const what = layer.kind === "stain" ? "stain" : "image";
  if (layer.closed_form || layer.kind === "histology") return { state: "plain", text: layer.kind === "stain" ? "Closed-form stain" : "" };
  if (sources.has("closed-form")) return { state: "preview", text: `Approximate ${what} until computed` };
  if (sources.has("average")) return { state: "network", text: "Computed; averaged for this overview" };
  return sources.has("network") ? { state: "network", text: "Computed" } : { state: "plain", text: "" };
}
