// Connection to the server: whether it is lost, told to whoever shows it.

import { isReachable } from "./api.js";

const ASK_AGAIN_MS = 2000;
const listeners = [];
let asking = false;

/** `listener(lost)` is called when the server no longer answers, and when it does again. */
export const onConnection = (listener) => listeners.push(listener);

/** To be called after a request without an answer: asks the server until it answers. */
export async function suspect() {
  if (asking) return;
  asking = true;
  if (!(await isReachable())) {
    listeners.forEach((listener) => listener(true));
    do await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
    while (!(await isReachable()));
    listeners.forEach((listener) => listener(false));
  }
  asking = false;
}
