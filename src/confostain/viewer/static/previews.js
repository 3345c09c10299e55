// Refresh of previews: tiles are fetched again once the network has computed enough of their level.

import { layerStatus } from "./api.js";
import { preferredLayer } from "./slides.js";

const CHECK_MS = 1000;
const STEP = 0.05; // fraction of a level; for less it is not fetched again

/** `computed(slide)` is called when all of a slide has been computed in the layer that it is opened with. */
export function keepFresh(stage, computed) {
  setInterval(() => {
    if (document.hidden) return;
    stage.panes.filter((pane) => pane.provenance === "preview" && pane.drawn?.item === pane.item).forEach((pane) => check(pane, computed));
  }, CHECK_MS);
}

async function check(pane, computed) {
  const { slide, layer } = pane;
  const status = await layerStatus(slide.id, layer).catch(() => null);
  if (!status || pane.layer !== layer || pane.slide !== slide || !pane.item) return;
  const level = Math.min(slide.levels - 1, Math.max(0, Math.floor(-Math.log2(pane.view().scale))));
  const share = status[level] ?? 0;
  pane.showProgress(share);
  const key = `${slide.id}/${layer}/${level}`;
  const before = pane.fetched?.key === key ? pane.fetched.share : 0;
  if (share - before < STEP && (share < 1 || before >= 1)) return;
  pane.fetched = { key, share };
  pane.refresh();
  if (share === 1 && layer === preferredLayer(slide).id) computed(slide);
}
