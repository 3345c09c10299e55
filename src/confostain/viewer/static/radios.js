// Groups of radio buttons: one stop of the Tab key each; the arrow keys choose within it.

const STEPS = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 };

/** Let the arrow keys, Home and End choose the buttons of a group, each of which acts when it is clicked. */
export function byArrows(group) {
  group.addEventListener("keydown", (event) => {
    const radios = [...group.querySelectorAll("[role=radio]")];
    const at = radios.indexOf(document.activeElement);
    const plain = !(event.ctrlKey || event.altKey || event.metaKey);
    const next = { ...STEPS, Home: -at, End: radios.length - 1 - at }[event.key];
    if (at < 0 || next === undefined || !plain) return;
    event.preventDefault();
    event.stopPropagation();
    const chosen = radios[(at + next + radios.length) % radios.length];
    chosen.click();
    chosen.focus();
  });
}

/** Mark the chosen buttons of a group; if none is chosen, the first one can be reached by the Tab key. */
export function markChosen(radios, isChosen) {
  const all = [...radios];
  const any = all.some(isChosen);
  all.forEach((radio, i) => {
    radio.setAttribute("aria-checked", String(isChosen(radio)));
    radio.tabIndex = isChosen(radio) || (!any && i === 0) ? 0 : -1;
  });
}
