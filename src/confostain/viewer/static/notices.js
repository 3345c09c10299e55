// Notices above the slide: one for each matter, so that none hides another.

export class Notices {
  constructor(host) {
    Object.assign(this, { host, shown: new Map() });
  }

  /** Say `text` about a matter in place of what was said about it before; `act` is called when the button is pressed. */
  show(matter, text, action = "OK", act = null) {
    this.hide(matter);
    const notice = document.createElement("p");
    notice.className = "notice";
    const button = Object.assign(document.createElement("button"), { type: "button", className: "plain", textContent: action });
    button.addEventListener("click", () => {
      this.hide(matter);
      act?.();
    });
    notice.append(Object.assign(document.createElement("span"), { textContent: text }), button);
    this.shown.set(matter, notice);
    this.host.append(notice);
  }

  hide(matter) {
    this.shown.get(matter)?.remove();
    this.shown.delete(matter);
  }
}
