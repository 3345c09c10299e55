// Annotations of all slides that were opened: one document for each slide, which stays until all of it is saved.

import { AnnotationDocument } from "./document.js";
import { slidesWithDrafts } from "./drafts.js";

export class Annotations {
  /** `events`: see AnnotationDocument. */
  constructor(events) {
    Object.assign(this, { events, documents: new Map() });
  }

  /** The document of a slide; it is read when it is first asked for. */
  of(slide) {
    if (!this.documents.has(slide.id)) {
      this.documents.set(slide.id, new AnnotationDocument(slide, this.events));
      this.documents.get(slide.id).refresh();
    }
    return this.documents.get(slide.id);
  }

  /** Selects one annotation, or none, on all slides together. */
  select(document, id) {
    for (const one of this.documents.values()) one.selected = one === document ? id : null;
    this.events.changed(document);
  }

  /** Saves the drafts that other pages left of these slides. */
  takeOver(slides) {
    const left = slidesWithDrafts();
    slides.filter((slide) => left.has(slide.id)).forEach((slide) => this.of(slide));
  }

  /** Reads the file of a slide again. */
  refresh(slide) {
    this.of(slide).refresh();
  }

  /** Tries again what failed. */
  retry() {
    for (const one of this.documents.values()) if (one.state === "failed") one.sync();
  }

  flush() {
    return Promise.all([...this.documents.values()].map((one) => one.flush()));
  }
}
