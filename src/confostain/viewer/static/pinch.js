// Two fingers turn the slide: by their own angle, after a dead zone, and back to upright if they end near it.

export const DEAD_ZONE = 10; // degrees the fingers turn before the slide does: a pinch never turns it
export const CATCH_UP = 20; // degrees from which on the slide has turned as far as the fingers
export const UPRIGHT = 10; // degrees: a turn that ends within this of upright ends there

/** How far the slide turns when the fingers have turned by so many degrees. */
export function turned(fingers) {
  const beyond = Math.max(0, Math.abs(fingers) - DEAD_ZONE) * (CATCH_UP / (CATCH_UP - DEAD_ZONE));
  return Math.sign(fingers) * (Math.abs(fingers) < CATCH_UP ? beyond : Math.abs(fingers));
}

/** The angle, or 0 where it is nearly upright. */
export function snapped(angle) {
  return Math.abs(wrapped(angle)) < UPRIGHT ? 0 : angle;
}

const wrapped = (angle) => ((((angle + 180) % 360) + 360) % 360) - 180;
const angleOf = (a, b) => (Math.atan2(b.y - a.y, b.x - a.x) * 180) / Math.PI;

/** The angle before the last movement, which was one of the finger that reported last. */
function angleBefore([a, b]) {
  return a.currentTime > b.currentTime ? angleOf(a.lastPos, b.currentPos) : angleOf(a.currentPos, b.lastPos);
}

export class PinchTurn {
  /** The rotation that two fingers, OpenSeadragon's gesture points, ask for; `rotation` is the present one. */
  moved(fingers, rotation, flipped) {
    const pair = fingers.map((finger) => finger.id).join();
    const angle = angleOf(fingers[0].currentPos, fingers[1].currentPos);
    if (this.pair !== pair) Object.assign(this, { pair, angle: angleBefore(fingers), fingers: 0, start: rotation, begun: false });
    this.fingers += wrapped(angle - this.angle);
    this.angle = angle;
    this.begun ||= Math.abs(this.fingers) > DEAD_ZONE;
    return this.start + (flipped ? -1 : 1) * turned(this.fingers);
  }

  /** A finger was lifted; whether the two have turned the slide. */
  ended() {
    const begun = this.begun ?? false;
    Object.assign(this, { pair: null, begun: false });
    return begun;
  }
}
