// Synchronisation of panes. Pure functions.
//
// A tie {leader, follower, turn} holds one point of each pane's slide (um) that correspond to each other, and the
// rotation of the follower against the leader in degrees. Panes of one slide correspond at the same point; panes of
// different slides correspond at the centres of their views when they were tied.

const inMicrons = (view, mpp) => [view.x * mpp, view.y * mpp];

export function tie(leaderView, leaderMpp, followerView, followerMpp) {
  return {
    leader: inMicrons(leaderView, leaderMpp),
    follower: inMicrons(followerView, followerMpp),
    turn: followerView.rotation - leaderView.rotation,
  };
}

export const sameSlideTie = Object.freeze({ leader: [0, 0], follower: [0, 0], turn: 0 });

/** The tie as seen from the other side. */
export const reversed = ({ leader, follower, turn }) => ({ leader: follower, follower: leader, turn: -turn });

/** The follower's view when the leader stands at `view`: same screen size of a um, moved alike on the screen. */
export function followed(view, leaderMpp, followerMpp, { leader, follower, turn }) {
  const [dx, dy] = [view.x * leaderMpp - leader[0], view.y * leaderMpp - leader[1]];
  const angle = (-turn * Math.PI) / 180;
  const x = follower[0] + Math.cos(angle) * dx - Math.sin(angle) * dy;
  const y = follower[1] + Math.sin(angle) * dx + Math.cos(angle) * dy;
  return {
    x: x / followerMpp, y: y / followerMpp, scale: (view.scale / leaderMpp) * followerMpp,
    rotation: view.rotation + turn, flipped: view.flipped,
  };
}
