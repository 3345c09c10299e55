// Keyboard: one table of keys, for the page and for its help.

const shown = { " ": "Space", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", PageUp: "Page up", PageDown: "Page down" };

/**
 * `table` holds {keys, label, run}: keys as event.key says them, with "Ctrl+" or "Shift+Digit" before, where held;
 * run(event) returns false if the key does nothing at the moment.
 */
export function listen(table) {
  const byKey = new Map(table.flatMap((entry) => (entry.keys ?? []).map((key) => [key, entry])));
  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]") || typing(event.target) || (slides(event.target) && SLIDER_KEYS.has(event.key))) return;
    const entry = namesOf(event).map((name) => byKey.get(name)).find(Boolean);
    if (!entry || (takesKeys(event.target) && [" ", "Enter"].includes(event.key))) return;
    if (entry.run(event) !== false) event.preventDefault();
  });
}

/**
 * Names under which the table may hold a key, the first that it holds counts. What a key writes comes first: it is what
 * the key says on every keyboard. Where it writes no Latin letter and no digit (Greek, Cyrillic; the digits of AZERTY),
 * its place follows.
 */
function namesOf(event) {
  const written = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const sign = event.key.length === 1 && !/[\p{L}\p{N} ]/u.test(event.key);
  if (event.getModifierState("AltGraph")) return [written]; // Ctrl and Alt are part of it
  if (event.altKey) return sign && !event.ctrlKey && !event.metaKey ? [written] : []; // as macOS writes brackets
  const [, letter, digit] = /^(?:Key([A-Z])|Digit(\d))$/.exec(event.code) ?? [];
  const place = event.key.length === 1 && !/[a-z0-9]/i.test(event.key) ? (letter?.toLowerCase() ?? (event.shiftKey ? undefined : digit)) : undefined;
  if (event.ctrlKey || event.metaKey) return [written, place].filter(Boolean).map((name) => `Ctrl+${event.shiftKey ? "Shift+" : ""}${name}`);
  return [event.shiftKey && digit ? `Shift+Digit${digit}` : undefined, written, place].filter(Boolean);
}

const SLIDER_KEYS = new Set(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown"]);
const slides = (element) => element.matches?.("input[type=range]");
const typing = (element) => element.matches?.("input:not([type=range]), textarea, select");
const takesKeys = (element) => element.matches?.("button, a, summary, [role=slider]");

/** The help's list of keys. */
export function describe(table, list) {
  list.replaceChildren(...table.filter((entry) => entry.keys).map(({ keys, label, show }) => {
    const row = document.createElement("div");
    const term = document.createElement("dt");
    term.textContent = label;
    const keyList = document.createElement("dd");
    for (const key of show ?? keys) {
      const cap = document.createElement("kbd");
      cap.textContent = shown[key] ?? key.replace("Digit", "").replace(/\b[a-z]$/, (letter) => letter.toUpperCase());
      keyList.append(cap, " ");
    }
    row.append(term, keyList);
    return row;
  }));
}
