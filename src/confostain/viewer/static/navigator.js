// Navigator: an overview of the slide that shows where the view is and moves it there.

import { thumbnail } from "./api.js";
import { toSlide } from "./geometry.js";
import { preferredLayer } from "./slides.js";

export class Navigator {
  /** `go(x, y)` is called with the level-0 pixel under the pointer; `painted(slide, context, view)` above the picture. */
  constructor(canvas, go, painted) {
    Object.assign(this, { canvas, go, painted, slide: null, picture: new Image() });
    this.picture.addEventListener("load", () => this.draw());
    const point = (event) => {
      if (!this.slide || (event.type === "pointermove" && event.buttons === 0)) return;
      const box = canvas.getBoundingClientRect();
      const { scale, left, top } = this.#fit();
      this.go((event.clientX - box.left - left) / scale, (event.clientY - box.top - top) / scale);
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      point(event);
    });
    canvas.addEventListener("pointermove", point);
  }

  show(slide) {
    if (this.slide?.id === slide.id) return;
    this.slide = slide;
    this.picture.src = thumbnail(slide.id, preferredLayer(slide).id);
  }

  /** Fetch the picture of a slide again: it was an approximate one. */
  renew(slide) {
    if (this.slide?.id === slide.id) this.picture.src = `${thumbnail(slide.id, preferredLayer(slide).id)}?computed`;
  }

  #fit() {
    const [w, h] = [this.canvas.clientWidth, this.canvas.clientHeight];
    const scale = Math.min((w - 12) / this.slide.width, (h - 12) / this.slide.height);
    return { scale, left: (w - this.slide.width * scale) / 2, top: (h - this.slide.height * scale) / 2 };
  }

  draw(view = this.view) {
    this.view = view;
    if (!this.slide || !view) return;
    const ratio = window.devicePixelRatio || 1;
    const { canvas } = this;
    [canvas.width, canvas.height] = [canvas.clientWidth * ratio, canvas.clientHeight * ratio];
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    const { scale, left, top } = this.#fit();
    if (this.picture.complete && this.picture.naturalWidth) {
      context.drawImage(this.picture, left, top, this.slide.width * scale, this.slide.height * scale);
    }
    const [w, h] = [canvas.clientWidth, canvas.clientHeight];
    this.painted(this.slide, context, { x: this.slide.width / 2, y: this.slide.height / 2, scale, rotation: 0, flipped: false, width: w, height: h });
    const corners = [[0, 0], [view.width, 0], [view.width, view.height], [0, view.height]].map((at) => toSlide(view, at));
    context.beginPath();
    corners.forEach(([x, y], i) => context[i === 0 ? "moveTo" : "lineTo"](left + x * scale, top + y * scale));
    context.closePath();
    for (const [strokeStyle, lineWidth] of [["rgba(0, 0, 0, 0.8)", 4], ["#7cc4e8", 2]]) {
      Object.assign(context, { strokeStyle, lineWidth });
      context.stroke();
    }
  }
}
