// The divider of curtain mode: the first pane is seen to its left only. Dragged, or moved by the arrow keys; two fingers of
// which one lies on it zoom.

export class Curtain {
  /** `zoom(factor, x, y)` is called when two fingers zoom, with the client coordinates of the point between them. */
  constructor(element, root, zoom) {
    Object.assign(this, { element, root, zoom, share: 0.5, fingers: new Map() });
    for (const name of ["pointerdown", "pointermove", "pointerup", "pointercancel"]) {
      root.addEventListener(name, (event) => event.pointerType === "touch" && this.#touched(event), { capture: true });
    }
    element.addEventListener("pointerdown", (event) => {
      element.setPointerCapture(event.pointerId);
      event.preventDefault();
      element.focus();
    });
    element.addEventListener("pointermove", (event) => {
      if (!element.hasPointerCapture(event.pointerId)) return;
      const box = root.getBoundingClientRect();
      this.move((event.clientX - box.left) / box.width);
    });
    element.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -0.02, ArrowRight: 0.02, Home: -1, End: 1 }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      this.move(this.share + step);
    });
  }

  /** Two fingers of which one went down on the divider are no matter of it, nor of the panes. */
  #touched(event) {
    const { pointerId: id, clientX: x, clientY: y } = event;
    if (event.type === "pointerup" || event.type === "pointercancel") {
      this.fingers.delete(id);
      return;
    }
    const before = this.#spread();
    if (event.type === "pointerdown") this.fingers.set(id, { x, y, here: this.element.contains(event.target) });
    else if (this.fingers.has(id)) Object.assign(this.fingers.get(id), { x, y });
    const after = this.#spread();
    if (!after) return;
    event.stopPropagation();
    if (before) this.zoom(after.distance / before.distance, after.x, after.y);
  }

  #spread() {
    const [a, b] = this.fingers.values();
    if (this.fingers.size !== 2 || !(a.here || b.here)) return null;
    return { distance: Math.max(1, Math.hypot(b.x - a.x, b.y - a.y)), x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
  }

  move(share) {
    this.share = Math.min(0.98, Math.max(0.02, share));
    this.show();
  }

  show() {
    this.root.style.setProperty("--curtain", `${(this.share * 100).toFixed(2)}%`);
    this.element.setAttribute("aria-valuenow", Math.round(this.share * 100));
  }
}
