// Synchronisation of panes. Pure functions.
//
// A tie {leader, follower, ratio, turn} holds one point of each pane's slide (level-0 pixels) that correspond to each
// other, how many pixels of the leader's slide are as long as one of the follower's, and the rotation of the follower
// against the leader in degrees. Panes of one slide correspond at the same point; panes of different slides correspond
// at the centres of their views when they were tied.

/** `mpp`: pixel sizes in um; where one is not known, lengths correspond as they are seen now. */
export function tie(leaderView, leaderMpp, followerView, followerMpp) {
  return {
    leader: [leaderView.x, leaderView.y],
    follower: [followerView.x, followerView.y],
    ratio: leaderMpp && followerMpp ? followerMpp / leaderMpp : followerView.scale / leaderView.scale,
    turn: followerView.rotation - leaderView.rotation,
  };
}

export const sameSlideTie = Object.freeze({ leader: [0, 0], follower: [0, 0], ratio: 1, turn: 0 });

/** The tie as seen from the other side. */
export const reversed = ({ leader, follower, ratio, turn }) => ({ leader: follower, follower: leader, ratio: 1 / ratio, turn: -turn });

/** The follower's view when the leader stands at `view`: same screen size of a um, moved alike on the screen. */
export function followed(view, { leader, follower, ratio, turn }) {
  const [dx, dy] = [(view.x - leader[0]) / ratio, (view.y - leader[1]) / ratio];
  const angle = (-turn * Math.PI) / 180;
  return {
    x: follower[0] + Math.cos(angle) * dx - Math.sin(angle) * dy,
    y: follower[1] + Math.sin(angle) * dx + Math.cos(angle) * dy,
    scale: view.scale * ratio, rotation: view.rotation + turn, flipped: view.flipped,
  };
}
