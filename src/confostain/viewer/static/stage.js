// Stage: one pane, two panes under a curtain, or several side by side; they move together.

import { Pane } from "./pane.js";
import { followed, reversed, sameSlideTie, tie } from "./sync.js";

export class Stage {
  /** `events`: {changed, painted, and the pointer's: pressed, clicked, doubleClicked, dragged, dragEnded, hovered}. */
  constructor(root, curtain, events) {
    Object.assign(this, { root, curtain, events, panes: [], mode: "single", linked: true, ties: new Map(), slides: [] });
    this.leader = null;
  }

  /** Show `wanted`, a list of {slide, layer} objects, in a mode; existing panes keep their position. */
  show(mode, wanted) {
    const view = this.sharedView();
    const arranged = this.mode === mode && this.panes.length === wanted.length;
    const before = this.leader?.layer;
    this.mode = mode;
    this.root.dataset.mode = mode;
    this.root.dataset.count = wanted.length;
    // Under a curtain the first pane lies on top and lets the pointer through to the second.
    const leading = mode === "curtain" ? 1 : Math.max(0, wanted.findIndex((one) => one.layer.id === before));
    while (this.panes.length > wanted.length) this.panes.pop().destroy();
    while (this.panes.length < wanted.length) this.panes.push(new Pane(this.root, this.#paneEvents()));
    if (!arranged || !this.panes.includes(this.leader)) this.leader = this.panes[leading];
    this.panes.forEach((pane, i) => {
      const other = pane.slide?.id !== wanted[i].slide.id;
      if (other) this.ties.delete(pane);
      if (view && other && wanted[i].slide.id === view.slide) pane.pendingView = this.#viewOn(wanted[i].slide, view);
      pane.show(wanted[i].slide, wanted[i].layer);
      pane.offer(this.slides);
    });
    this.#activate(this.leader);
    this.curtain.element.hidden = mode !== "curtain";
    this.curtain.show();
    this.events.changed();
  }

  #paneEvents() {
    return {
      ...this.events,
      moved: (pane) => this.#moved(pane),
      pressed: (pane, point) => {
        this.#lead(pane);
        return point ? this.events.pressed(pane, point) : false;
      },
      layerChosen: (pane, slide, layer) => this.events.layerChosen(this.panes.indexOf(pane), slide, layer),
    };
  }

  get active() {
    return this.leader;
  }

  activate(index) {
    if (this.panes[index]) this.#lead(this.panes[index]);
  }

  #lead(pane) {
    if (pane === this.leader) return;
    const before = this.leader;
    // Ties hang on the leader: tie the old one to the new one, and the others anew from where they stand.
    if (this.linked && before?.item && pane.item) {
      const old = this.ties.get(pane) ?? sameSlideTie;
      this.ties.delete(pane);
      this.ties.set(before, reversed(old));
      for (const other of this.panes) {
        if (other !== pane && other !== before && other.item) this.ties.set(other, this.#tieOf(pane, other));
      }
    }
    this.#activate(pane);
    this.events.changed();
  }

  #activate(pane) {
    this.leader = pane;
    this.panes.forEach((one) => one.root.classList.toggle("active", one === pane));
  }

  #tieOf(leader, other) {
    return tie(leader.view(), leader.slide.microns_per_pixel, other.view(), other.slide.microns_per_pixel);
  }

  #moved(pane) {
    if (pane === this.leader) {
      if (this.linked) this.#pullOthers();
      this.events.changed();
    } else if (pane.item && this.linked && !this.ties.has(pane) && this.leader?.item) this.#pullOthers();
  }

  #pullOthers() {
    const view = this.leader.view();
    for (const pane of this.panes) {
      if (pane === this.leader || !pane.item) continue;
      if (!this.ties.has(pane)) this.ties.set(pane, pane.slide.id === this.leader.slide.id ? sameSlideTie : this.#tieOf(this.leader, pane));
      pane.setView(followed(view, this.leader.slide.microns_per_pixel, pane.slide.microns_per_pixel, this.ties.get(pane)));
    }
  }

  /** Whether panes move together; when they are linked again, each keeps its place relative to the active one. */
  link(linked) {
    this.linked = linked;
    if (linked) this.panes.forEach((pane) => pane !== this.leader && pane.item && this.ties.set(pane, this.#tieOf(this.leader, pane)));
    this.events.changed();
  }

  // The view that all share --------------------------------------------------------------------------------------

  /** {slide, x, y, mpp, rotation, flipped} of the active pane: mpp in um per CSS pixel; null while nothing is open. */
  sharedView() {
    if (!this.leader?.item) return null;
    const view = this.leader.view();
    return { ...view, slide: this.leader.slide.id, mpp: this.leader.slide.microns_per_pixel / view.scale };
  }

  #viewOn(slide, { x, y, mpp, rotation, flipped }) {
    return { x, y, scale: slide.microns_per_pixel / mpp, rotation, flipped };
  }

  look(view, animated = false) {
    const { leader } = this;
    const target = this.#viewOn(leader.slide, view);
    if (leader.item) leader.setView(target, { animated });
    else leader.pendingView = target;
  }

  #change(change) {
    if (!this.leader?.item) return;
    const view = this.leader.view(false);
    this.leader.setView({ ...view, ...change(view) }, { animated: true });
  }

  zoomBy(factor) {
    this.#change(({ scale }) => ({ scale: scale * factor }));
  }

  zoomTo(mpp) {
    this.#change(() => ({ scale: this.leader.slide.microns_per_pixel / mpp }));
  }

  /** Move by shares of the pane's width and height, as seen on the screen. */
  panBy(right, down) {
    this.#change((view) => {
      const turn = (-view.rotation * Math.PI) / 180;
      const [sx, sy] = [((view.flipped ? -1 : 1) * right * view.width) / view.scale, (down * view.height) / view.scale];
      return { x: view.x + Math.cos(turn) * sx - Math.sin(turn) * sy, y: view.y + Math.sin(turn) * sx + Math.cos(turn) * sy };
    });
  }

  rotateBy(degrees) {
    this.#change((view) => ({ rotation: Math.round((view.rotation + (view.flipped ? -degrees : degrees)) / 15) * 15 }));
  }

  flip() {
    this.#change((view) => ({ flipped: !view.flipped }));
  }

  upright() {
    this.#change(() => ({ rotation: 0, flipped: false }));
  }

  fit() {
    this.leader?.item && this.leader.fit();
  }

  paint() {
    this.panes.forEach((pane) => pane.paint());
  }
}
