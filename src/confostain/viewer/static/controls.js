// Keys and buttons: two tables of what they do, and the panels that they open.

import { describe, listen } from "./keys.js";
import { MAGNIFICATIONS, micronsAt } from "./units.js";

const byId = (id) => document.getElementById(id);

/** `page` holds the parts and actions of main.js. */
export function bindControls(page) {
  const { stage, drawing, notes, curtain, slides, setMode, setActiveLayer, changePanes } = page;
  const { snapshot, exportAnnotations, putByKeys, takeTool } = page;
  const removeSelected = () => notes()?.selected && drawing.tool === "hand" && notes().remove(notes().selected);
  const nextPane = () => stage.activate((stage.panes.indexOf(stage.active) + 1) % stage.panes.length);
  const openHelp = () => byId("help").showModal();
  const toggles = {
    slides: () => togglePanel("slides"),
    adjust: () => togglePanel("adjust", ["notes"]),
    notes: () => togglePanel("notes", ["adjust"]),
  };

  const KEYS = [
    { keys: ["1", "2", "3", "4", "5", "6", "7", "8", "9"], show: ["1", "…", "9"], label: "Layer of the active pane", run: (event) => setActiveLayer(Number(event.key) - 1) },
    { keys: ["q"], label: "One layer", run: () => setMode("single") },
    { keys: ["w"], label: "Curtain between two layers", run: () => setMode("curtain") },
    { keys: ["e"], label: "Side by side", run: () => setMode("side") },
    { keys: [",", "."], label: "Move the curtain", run: (event) => curtain.move(curtain.share + (event.key === "," ? -0.03 : 0.03)) },
    { keys: ["t"], label: "Next pane", run: nextPane },
    { keys: ["l"], label: "Panes move together or alone", run: () => stage.link(!stage.linked) },
    { keys: ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"], label: "Move", run: ({ key }) => stage.panBy(...{ ArrowLeft: [-0.2, 0], ArrowRight: [0.2, 0], ArrowUp: [0, -0.2], ArrowDown: [0, 0.2] }[key]) },
    { keys: ["+", "=", "-"], show: ["+", "-"], label: "Zoom", run: ({ key }) => stage.zoomBy(key === "-" ? 1 / 1.5 : 1.5) },
    { keys: ["Shift+Digit1", "Shift+Digit2", "Shift+Digit3", "Shift+Digit4"], show: ["Shift+1", "…", "Shift+4"], label: "5×, 10×, 20×, 40×", run: ({ code }) => stage.zoomTo(micronsAt(MAGNIFICATIONS[Number(code.at(-1)) - 1])) },
    { keys: ["0"], label: "Whole slide", run: () => stage.fit() },
    { keys: ["[", "]"], label: "Turn by 15°", run: ({ key }) => stage.rotateBy(key === "[" ? -15 : 15) },
    { keys: ["f"], label: "Mirror", run: () => stage.flip() },
    { keys: ["u"], label: "Upright, not mirrored", run: () => stage.upright() },
    { keys: ["v"], label: "Move and select", run: () => drawing.take("hand") },
    { keys: ["p"], label: "Point", run: () => takeTool("point") },
    { keys: ["m"], label: "Length", run: () => takeTool("length") },
    { keys: ["a"], label: "Region and area", run: () => takeTool("region") },
    { keys: ["c"], label: "Clock-face margin", run: () => takeTool("margin") },
    { keys: [" "], label: "Set a corner in the middle of the view", run: putByKeys },
    { keys: ["Enter"], label: "End the path or region", run: () => (drawing.points.length ? drawing.finish(stage.active) : false) },
    { keys: ["Backspace", "Delete"], label: "Remove the last corner; delete the selected annotation", run: () => drawing.backspace() || removeSelected() },
    { keys: ["Escape"], label: "Cancel; back to moving and selecting", run: () => drawing.cancel() },
    { keys: ["Ctrl+z"], label: "Undo", run: () => drawing.backspace() || notes()?.undo() },
    { keys: ["Ctrl+y", "Ctrl+Shift+z"], label: "Redo", run: () => notes()?.redo() },
    { keys: ["g"], label: "Export annotations", run: exportAnnotations },
    { keys: ["b"], label: "Brightness and gamma", run: toggles.adjust },
    { keys: ["n"], label: "List of annotations", run: toggles.notes },
    { keys: ["s"], label: "List of slides", run: toggles.slides },
    { keys: ["PageUp", "PageDown"], label: "Previous and next slide", run: ({ key }) => slides.next(key === "PageUp" ? -1 : 1) },
    { keys: ["x"], label: "Snapshot", run: snapshot },
    { keys: ["d"], label: "Dark or light", run: () => window.toggleTheme() },
    { keys: ["?", "h"], label: "This help", run: openHelp },
  ];

  const CLICKS = {
    "slides-toggle": toggles.slides, "adjust-toggle": toggles.adjust, "notes-toggle": toggles.notes,
    "mode-single": () => setMode("single"), "mode-curtain": () => setMode("curtain"), "mode-side": () => setMode("side"),
    "pane-add": () => changePanes(1), "pane-remove": () => changePanes(-1), link: () => stage.link(!stage.linked),
    theme: () => window.toggleTheme(), "help-open": openHelp, undo: () => drawing.backspace() || notes()?.undo(), redo: () => notes()?.redo(),
    "turn-left": () => stage.rotateBy(-15), "turn-right": () => stage.rotateBy(15), flip: () => stage.flip(),
    snapshot, export: exportAnnotations, fit: () => stage.fit(),
  };

  for (const [id, act] of Object.entries(CLICKS)) byId(id).addEventListener("click", act);
  for (const button of document.querySelectorAll("[data-tool]")) button.addEventListener("click", () => drawing.take(button.dataset.tool));
  for (const button of document.querySelectorAll("[data-magnification]")) {
    button.addEventListener("click", () => stage.zoomTo(micronsAt(Number(button.dataset.magnification))));
  }
  listen(KEYS);
  describe(KEYS, byId("keys"));
}

/** Opens a panel that is closed. */
export const openPanel = (id) => byId(id).hidden && byId(`${id}-toggle`).click();

function togglePanel(id, others = []) {
  const panel = byId(id);
  others.forEach((other) => (byId(other).hidden = true));
  panel.hidden = !panel.hidden;
  for (const name of [id, ...others]) byId(`${name}-toggle`).setAttribute("aria-expanded", String(!byId(name).hidden));
}
