// The divider of curtain mode: the first pane is seen to its left only. Dragged, or moved by the arrow keys.

export class Curtain {
  constructor(element, root) {
    Object.assign(this, { element, root, share: 0.5 });
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

  move(share) {
    this.share = Math.min(0.98, Math.max(0.02, share));
    this.show();
  }

  show() {
    this.root.style.setProperty("--curtain", `${(this.share * 100).toFixed(2)}%`);
    this.element.setAttribute("aria-valuenow", Math.round(this.share * 100));
  }
}
