/* CartPole as Gymnasium's CartPole-v0 and -v1 step it: Euler's method, 50 steps a second. */
"use strict";

const CARTPOLE = {
  reset: () => Array.from({length: 4}, () => 0.1 * Math.random() - 0.05),
  step([x, speed, angle, turn], action) {
    const force = action === 1 ? 10 : -10, cos = Math.cos(angle), sin = Math.sin(angle);
    const pushed = (force + 0.05 * turn * turn * sin) / 1.1;
    const turning = (9.8 * sin - cos * pushed) / (0.5 * (4 / 3 - (0.1 * cos * cos) / 1.1));
    const gained = pushed - (0.05 * turning * cos) / 1.1;
    return [x + 0.02 * speed, speed + 0.02 * gained, angle + 0.02 * turn, turn + 0.02 * turning];
  },
  fell: ([x, , angle]) => Math.abs(x) > 2.4 || Math.abs(angle) > (12 * 2 * Math.PI) / 360,
};
