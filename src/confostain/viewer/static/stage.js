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
        if (!point) return false;
        const seen = this.seenAt(pane, point);
        [this.pointed] = seen;
        this.events.changed();
        return this.events.pressed(...seen);
      },
      ...Object.fromEntries(["dragged", "clicked", "doubleClicked", "hovered"].map((name) => [
        name, (pane, point) => this.events[name](...this.seenAt(pane, point)),
      ])),
      layerChosen: (pane, slide, layer) => this.events.layerChosen(this.panes.indexOf(pane), slide, layer),
    };
  }

  /** The pane whose picture is seen at a point of another one, and the point there: under a curtain they differ. */
  seenAt(pane, point) {
    const top = this.panes[0];
    if (this.mode !== "curtain" || pane === top || !top.item) return [pane, point];
    const place = pane.toScreen(point);
    return place[0] < this.curtain.share * pane.root.clientWidth ? [top, top.toSlide(place)] : [pane, point];
  }

  /** Whether all panes show what they should, at its full resolution, and stand still. */
  isComplete() {
    return this.panes.length > 0 && this.panes.every((pane) => pane.isComplete());
  }

  /** Show nothing. */
  clear() {
    this.panes.splice(0).forEach((pane) => pane.destroy());
    Object.assign(this, { leader: null, pointed: null });
    this.ties.clear();
    this.curtain.element.hidden = true;
    this.events.changed();
  }

  /** Whether a pane has a scale bar of its own: where all have the same scale, the first one's is enough. */
  showsScale(pane) {
    const [first] = this.panes;
    const alike = pane.slide?.id === first.slide?.id || (pane.slide?.microns_per_pixel && first.slide?.microns_per_pixel);
    return pane === first || (this.mode === "side" && !(this.linked && alike));
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
    this.pointed = pane; // the pane that was worked on last
    this.panes.forEach((one) => one.root.classList.toggle("active", one === pane));
  }

  #tieOf(leader, other) {
    if (other.slide.id === leader.slide.id) return tie(leader.view(), 1, other.view(), 1);
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
      pane.setView(followed(view, this.ties.get(pane)));
    }
  }

  /** Whether panes move together; when they are linked again, each keeps its place relative to the active one. */
  link(linked) {
    this.linked = linked;
    if (linked) this.panes.forEach((pane) => pane !== this.leader && pane.item && this.ties.set(pane, this.#tieOf(this.leader, pane)));
    if (linked && this.leader?.item) this.#pullOthers();
    this.events.changed();
  }

  // The view that all share --------------------------------------------------------------------------------------

  /**
   * {slide, x, y, mpp, px, rotation, flipped} of the active pane, null while nothing is open. A CSS pixel shows `mpp` um,
   * null where no pixel size is known, or `px` level-0 pixels.
   */
  sharedView() {
    if (!this.leader?.item) return null;
    const view = this.leader.view();
    const { id, microns_per_pixel: mpp } = this.leader.slide;
    return { ...view, slide: id, mpp: mpp && mpp / view.scale, px: 1 / view.scale };
  }

  /** `mpp` or `px` as in sharedView; in a link, the other one is missing. */
  #viewOn(slide, { x, y, mpp, px, rotation, flipped }) {
    const known = mpp && slide.microns_per_pixel;
    return { x, y, scale: known ? slide.microns_per_pixel / mpp : 1 / (px ?? mpp), rotation, flipped };
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

  /** Returns false where no pixel size is known. */
  zoomTo(mpp) {
    const known = this.leader?.slide.microns_per_pixel;
    if (known) this.#change(() => ({ scale: known / mpp }));
    return Boolean(known);
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
