// Queue of tile requests: coarsest first, then nearest to the centre of the view; tiles out of view are dropped.
//
// One queue for all panes: a browser opens six connections to a host, and one of them carries the events.

import { suspect } from "./connection.js";

const MAX_RUNNING = 4;
const RETRY_MS = 1500;

const waiting = new Set();
let running = 0;

/** `request` is {url, headers(), rank(), wanted(), deliver(blob, source), refuse(reason), forget()}. */
export function enqueue(request) {
  waiting.add(request);
  pump();
}

export function cancel(request) {
  waiting.delete(request);
  request.abort?.abort();
}

/** To be called when a view has moved: requests for tiles out of view are forgotten, running ones are aborted. */
export function dropUnwanted(requests) {
  for (const request of requests) {
    if (request.wanted()) continue;
    cancel(request);
    request.forget();
  }
}

function pump() {
  while (running < MAX_RUNNING && waiting.size > 0) {
    const next = [...waiting].reduce((best, one) => (one.rank() < best.rank() ? one : best));
    waiting.delete(next);
    running += 1;
    fetchTile(next).finally(() => {
      running -= 1;
      pump();
    });
  }
}

async function fetchTile(request) {
  request.abort = new AbortController();
  try {
    const response = await fetch(request.url, { headers: request.headers(), signal: request.abort.signal });
    if (response.status === 200) {
      request.deliver(await response.blob(), response.headers.get("X-Confostain-Source") ?? "");
    } else if (response.status === 204 || response.status === 410) {
      request.forget();
    } else if (response.status === 429 || response.status >= 500) {
      setTimeout(() => request.forget(), RETRY_MS);
    } else {
      request.refuse(`status ${response.status}`);
    }
  } catch (error) {
    if (error.name === "AbortError") return;
    suspect();
    setTimeout(() => request.forget(), RETRY_MS);
  }
}
