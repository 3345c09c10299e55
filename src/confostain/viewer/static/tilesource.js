// A layer of a slide as OpenSeadragon asks for it. OpenSeadragon counts levels from the coarsest, the server from the finest.

import { tilePath } from "./api.js";
import { cancel, order } from "./tilequeue.js";

/**
 * `pane` tells where the view is: {client, viewNumber(), focus(), rankOf(level, rectangle), wants(level, rectangle)},
 * rectangles in level-0 pixels, levels as the server counts them.
 */
export function layerSource(slide, layer, pane, revision = 0) {
  const OpenSeadragon = window.OpenSeadragon;
  const top = slide.levels - 1;
  const orders = new Set();
  const sources = new Map(); // tile URL -> what the server said its pixels are

  const source = new OpenSeadragon.TileSource({
    width: slide.width, height: slide.height, tileSize: slide.tile, tileOverlap: 0, minLevel: 0, maxLevel: top,
  });
  source.getTileUrl = (level, column, row) =>
    `${tilePath(slide.id, layer)}/${top - level}/${column}_${row}.jpg${revision ? `?r=${revision}` : ""}`;
  source.orders = orders;
  source.provenance = (url) => sources.get(url);

  let closed = false;
  /** Nothing more is fetched: the layer is on its way out. What is there stays on the screen. */
  source.close = () => {
    closed = true;
    orders.forEach(cancel);
    orders.clear();
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
        orders.delete(request);
        if (closed) return;
        sources.set(job.src, said);
        job.finish(blob, null, "rasterBlob");
      },
      refuse(reason) {
        orders.delete(request);
        job.fail(reason, null);
      },
      // OpenSeadragon never asks again for a tile that failed. A forgotten one it asks for as soon as it is in view.
      forget() {
        orders.delete(request);
        if (closed) return;
        window.clearTimeout(job.jobId);
        job.jobId = null;
        job.tile.loading = false;
        pane.redraw();
      },
    };
    job.userData.order = request;
    orders.add(request);
    order(request);
  };
  source.downloadTileAbort = (job) => {
    orders.delete(job.userData.order);
    cancel(job.userData.order);
  };
  return source;
}
