// Tile source of OpenSeadragon for one layer. OpenSeadragon counts levels from the coarsest, the server from the finest.

import { tilePath } from "./api.js";
import { cancel, enqueue } from "./tilequeue.js";

/**
 * `pane` describes the view: {client, viewNumber(), focus(), rankOf(level, rectangle), wants(level, rectangle)},
 * rectangles in level-0 pixels, levels as the server counts them.
 */
export function layerSource(slide, layer, pane, revision = 0) {
  const OpenSeadragon = window.OpenSeadragon;
  const top = slide.levels - 1;
  const requests = new Set();
  const sources = new Map(); // tile URL -> what computed its pixels, as the server says
  const { closed_form: closedForm } = slide.layers.find((one) => one.id === layer);

  const source = new OpenSeadragon.TileSource({
    width: slide.width, height: slide.height, tileSize: slide.tile, tileOverlap: 0, minLevel: 0, maxLevel: top,
  });
  source.getTileUrl = (level, column, row) =>
    `${tilePath(slide.id, layer)}/${top - level}/${column}_${row}.jpg${revision ? `?r=${revision}` : ""}`;
  source.requests = requests;
  let failed = false;
  source.hasFailed = () => failed;
  source.hasArrived = () => sources.size > 0;
  source.provenance = (url) => sources.get(url);
  source.isPreview = (url) => !closedForm && sources.get(url) === "closed-form";

  let closed = false;
  /** Fetch nothing more: another layer replaces this one. Tiles that are drawn stay on the screen. */
  source.close = () => {
    closed = true;
    requests.forEach(cancel);
    requests.clear();
  };
  source.downloadTileStart = (job) => {
    if (closed) return;
    const level = top - job.tile.level;
    const side = slide.tile * 2 ** level;
    const place = { x: job.tile.x * side, y: job.tile.y * side, width: side, height: side };
    const request = {
      url: job.src,
      headers: () => ({
        "X-Confostain-Client": pane.client,
        "X-Confostain-View": String(pane.viewNumber()),
        "X-Confostain-Focus": pane.focus(),
      }),
      rank: () => pane.rankOf(level, place),
      wanted: () => pane.wants(level, place),
      deliver(blob, said) {
        requests.delete(request);
        if (closed) return;
        sources.set(job.src, said);
        job.finish(blob, null, "rasterBlob");
      },
      refuse(reason) {
        requests.delete(request);
        failed = true;
        job.fail(reason, null);
      },
      // OpenSeadragon never requests a failed tile again, but requests a forgotten one as soon as it is in view.
      forget() {
        requests.delete(request);
        if (closed) return;
        window.clearTimeout(job.jobId);
        job.jobId = null;
        job.tile.loading = false;
        pane.redraw();
      },
    };
    job.userData.request = request;
    requests.add(request);
    enqueue(request);
  };
  source.downloadTileAbort = (job) => {
    requests.delete(job.userData.request);
    cancel(job.userData.request);
  };
  return source;
}
