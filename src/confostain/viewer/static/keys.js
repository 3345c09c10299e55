// Keyboard: one table of keys, for the page and for its help.

const shown = { " ": "Space", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", PageUp: "Page up", PageDown: "Page down" };

/**
 * `table` holds {keys, label, run}: keys as event.key says them, with "Ctrl+" or "Shift+Digit" before, where held;
 * run(event) returns false if the key does nothing at the moment.
 */
export function listen(table) {
  const byKey = new Map(table.flatMap((entry) => entry.keys.map((key) => [key, entry])));
  document.addEventListener("keydown", (event) => {
    if (event.altKey || document.querySelector("dialog[open]") || typing(event.target)) return;
    const entry = byKey.get(nameOf(event));
    if (!entry || (takesKeys(event.target) && [" ", "Enter"].includes(event.key))) return;
    if (entry.run(event) !== false) event.preventDefault();
  });
}

function nameOf(event) {
  if (event.ctrlKey || event.metaKey) return `Ctrl+${event.shiftKey ? "Shift+" : ""}${event.key.toLowerCase()}`;
  if (event.shiftKey && /^Digit\d$/.test(event.code)) return `Shift+${event.code}`;
  return event.key.length === 1 ? event.key.toLowerCase() : event.key;
}

const typing = (element) => element.matches?.("input:not([type=range]), textarea, select") || element.matches?.("input[type=range]");
const takesKeys = (element) => element.matches?.("button, a, [role=slider]");

/** The help's list of keys. */
export function describe(table, list) {
  list.replaceChildren(...table.filter((entry) => entry.label).map(({ keys, label, show }) => {
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
