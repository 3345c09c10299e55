// Commands of the page: one table of what its keys and buttons do, and the panels that they open.

import { describe, listen } from "./keys.js";
import { byArrows } from "./radios.js";
import { MAGNIFICATIONS, micronsAt } from "./units.js";

const byId = (id) => document.getElementById(id);

/**
 * `page` holds the parts and actions of main.js. A command is {keys, show, label, buttons, run}: see keys.js for the first
 * three; buttons holds, by the id of each button, the event that a click on it stands for.
 */
export function bindControls(page) {
  const commands = [...layerCommands(page), ...viewCommands(page), ...drawingCommands(page), ...pageCommands(page)];
  for (const { buttons, run } of commands) {
    for (const [id, event] of Object.entries(buttons ?? {})) byId(id).addEventListener("click", () => run({ ...event, clicked: true }));
  }
  document.querySelectorAll("[role=radiogroup]").forEach(byArrows);
  listen(commands);
  describe(commands, byId("keys"));
}

const layerCommands = ({ stage, curtain, setMode, setActiveLayer, changePanes }) => [
  { keys: ["1", "2", "3", "4", "5", "6", "7", "8", "9"], show: ["1", "…", "9"], label: "Layer of the active pane", run: ({ key, code }) => setActiveLayer(Number(/\d/.exec(key) ?? code.at(-1)) - 1) },
  { keys: ["q"], label: "One layer", buttons: { "mode-single": {} }, run: () => setMode("single") },
  { keys: ["w"], label: "Curtain between two layers", buttons: { "mode-curtain": {} }, run: () => setMode("curtain") },
  { keys: ["e"], label: "Side by side", buttons: { "mode-side": {} }, run: () => setMode("side") },
  { buttons: { "pane-add": {} }, run: () => changePanes(1) },
  { buttons: { "pane-remove": {} }, run: () => changePanes(-1) },
  { keys: [",", "."], label: "Move the curtain", run: ({ key }) => curtain.move(curtain.share + (key === "," ? -0.03 : 0.03)) },
  { keys: ["t"], label: "Next pane", run: () => stage.activate((stage.panes.indexOf(stage.active) + 1) % stage.panes.length) },
  { keys: ["l"], label: "Panes move together or alone", buttons: { link: {} }, run: () => stage.link(!stage.linked) },
];

const viewCommands = ({ stage }) => [
  { keys: ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"], label: "Move", run: ({ key }) => stage.panBy(...{ ArrowLeft: [-0.2, 0], ArrowRight: [0.2, 0], ArrowUp: [0, -0.2], ArrowDown: [0, 0.2] }[key]) },
  { keys: ["+", "=", "-"], show: ["+", "-"], label: "Zoom", run: ({ key }) => stage.zoomBy(key === "-" ? 1 / 1.5 : 1.5) },
  {
    keys: MAGNIFICATIONS.map((_, i) => `Shift+Digit${i + 1}`), show: ["Shift+1", "…", "Shift+4"], label: "5×, 10×, 20×, 40×",
    buttons: Object.fromEntries(MAGNIFICATIONS.map((times, i) => [`magnify-${times}`, { code: `Digit${i + 1}` }])),
    run: ({ code }) => stage.zoomTo(micronsAt(MAGNIFICATIONS[Number(code.at(-1)) - 1])),
  },
  { keys: ["0"], label: "Whole slide", buttons: { fit: {} }, run: () => stage.fit() },
  { keys: ["[", "]"], label: "Turn by 15°", buttons: { "turn-left": { key: "[" }, "turn-right": { key: "]" } }, run: ({ key }) => stage.rotateBy(key === "[" ? -15 : 15) },
  { keys: ["f"], label: "Mirror", buttons: { flip: {} }, run: () => stage.flip() },
  { keys: ["u"], label: "Upright, not mirrored", run: () => stage.upright() },
];

const tool = (key, name, label, takeTool) => ({ keys: [key], label, buttons: { [`tool-${name}`]: {} }, run: ({ clicked }) => takeTool(name, !clicked) });

const drawingCommands = ({ stage, drawing, notes, exportAnnotations, exportTable, putByKeys, takeTool }) => [
  tool("v", "hand", "Move and select", takeTool),
  tool("p", "point", "Point", takeTool),
  tool("m", "length", "Length", takeTool),
  tool("a", "region", "Region and area", takeTool),
  tool("c", "margin", "Clock-face margin", takeTool),
  tool(";", "ellipse", "Ellipse", takeTool),
  tool("r", "brush", "Brush", takeTool),
  tool("/", "eraser", "Eraser", takeTool),
  { keys: [" "], label: "Set a corner in the middle of the view", run: putByKeys },
  { keys: ["Enter"], label: "End the path or region", run: () => (drawing.points.length ? drawing.finish(stage.pointed) : false) },
  { keys: ["Backspace", "Delete"], label: "Remove the last corner; delete the selected annotation", run: () => drawing.backspace() || (notes()?.selected && drawing.tool === "hand" && notes().remove(notes().selected)) },
  { keys: ["Escape"], label: "Cancel; back to moving and selecting", run: () => drawing.cancel() },
  { keys: ["Ctrl+z"], label: "Undo", buttons: { undo: {} }, run: () => drawing.backspace() || notes()?.undo() },
  { keys: ["Ctrl+y", "Ctrl+Shift+z"], label: "Redo", buttons: { redo: {} }, run: () => notes()?.redo() },
  { keys: ["g"], label: "Export annotations", buttons: { export: {} }, run: exportAnnotations },
  { buttons: { "export-csv": {} }, run: exportTable },
  { buttons: { import: {} }, run: () => byId("import-file").click() },
];

const pageCommands = ({ slides, snapshot, addBookmark, viewed, overlays, showOverlays }) => [
  { keys: ["b"], label: "Brightness, gamma, black and white point", buttons: { "adjust-toggle": {} }, run: () => togglePanel("adjust") },
  { keys: ["n"], label: "List of annotations", buttons: { "notes-toggle": {} }, run: () => togglePanel("notes") },
  { keys: ["k"], label: "Bookmarks", buttons: { "bookmarks-toggle": {} }, run: () => togglePanel("bookmarks") },
  { buttons: { "bookmark-add": {} }, run: addBookmark },
  { keys: ["o"], label: "Overlays", buttons: { "overlays-toggle": {} }, run: () => {
    togglePanel("overlays");
    showOverlays();
  } },
  { keys: ["j"], label: "Next finding of the overlays", run: () => overlays.next() },
  { keys: ["i"], label: "Viewed area", buttons: { "viewed-toggle": {} }, run: () => togglePanel("viewed") || viewed.draw() },
  { keys: ["y"], label: "Map of the viewed area", buttons: { "viewed-show": {} }, run: () => viewed.toggle() },
  { keys: ["s"], label: "List of slides", buttons: { "slides-toggle": {} }, run: () => togglePanel("slides") },
  { keys: ["PageUp", "PageDown"], label: "Previous and next slide", run: ({ key }) => slides.next(key === "PageUp" ? -1 : 1) },
  { keys: ["x"], label: "Snapshot", buttons: { snapshot: {} }, run: snapshot },
  { keys: ["z"], label: "Full screen", buttons: { full: {} }, run: toggleFullScreen },
  { keys: ["d"], label: "Dark or light", buttons: { theme: {} }, run: () => window.toggleTheme() },
  { keys: ["?", "h"], label: "This help", buttons: { "help-open": {} }, run: () => byId("help").showModal() },
];

const RIGHT = ["adjust", "notes", "bookmarks", "overlays", "viewed"]; // panels of which one at a time is open

/** Open a panel, or close it where it is open and `open` is not said. */
export function togglePanel(id, open = byId(id).hidden) {
  const others = RIGHT.includes(id) ? RIGHT.filter((other) => other !== id) : [];
  others.forEach((other) => (byId(other).hidden = true));
  byId(id).hidden = !open;
  for (const name of [id, ...others]) byId(`${name}-toggle`).setAttribute("aria-expanded", String(!byId(name).hidden));
}

function toggleFullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else document.documentElement.requestFullscreen?.().catch(() => {}); // a browser may not allow it
}
