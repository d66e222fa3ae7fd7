// Which part of the world is seen. Panning, zooming, fitting; no drawing.
//
// screen = world × zoom + offset. Down, the zoom is `k`: rows come closer together as one zooms out. Across it is `kx`,
// which does not follow below what shows the whole width: labels keep their size, so narrower columns would gain nothing.

export const LEAST = 0.12;
export const MOST = 2.5;

export class Camera {
  x = 0;
  y = 0;
  k = 1;
  floor = 1; // the zoom at which the whole width is seen, at most 1

  get kx() {
    return this.k >= 1 ? this.k : Math.max(this.k, this.floor);
  }

  /** The screen's point of a point of the world. */
  screen(wx, wy) {
    return [wx * this.kx + this.x, wy * this.k + this.y];
  }

  /** Put the world's point (wx, wy) at the screen's (sx, sy). */
  pin(wx, wy, sx, sy) {
    this.x = sx - wx * this.kx;
    this.y = sy - wy * this.k;
  }

  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
  }

  /** Zoom by `factor`, the screen's point (sx, sy) staying where it is. */
  zoom(factor, sx, sy) {
    const [wx, wy] = [(sx - this.x) / this.kx, (sy - this.y) / this.k];
    this.k = Math.max(LEAST, Math.min(MOST, this.k * factor));
    this.pin(wx, wy, sx, sy);
  }

  /** Learn how wide the world is: `right` is where the last shape stands; labels need `labelRoom` pixels after it. */
  widen(left, right, width, labelRoom, margin) {
    this.floor = Math.max(LEAST, Math.min(1, (width - labelRoom - 2 * margin) / Math.max(1, right - left)));
  }

  /** Show a world of `bounds` { left, top, bottom } in a picture of a height, no larger than life. */
  fit(bounds, height, margin) {
    const tall = bounds.bottom - bounds.top;
    this.k = Math.max(LEAST, Math.min(1, (height - 2 * margin) / Math.max(1, tall)));
    this.pin(bounds.left, bounds.top, margin, Math.max(margin, (height - tall * this.k) / 2));
  }

  /** Keep at least a part of the world in sight. */
  hold(bounds, width, height) {
    const keep = 80;
    this.x = Math.min(width - keep - bounds.left * this.kx, Math.max(keep - bounds.right * this.kx, this.x));
    this.y = Math.min(height - keep - bounds.top * this.k, Math.max(keep - bounds.bottom * this.k, this.y));
  }

  copy() {
    return Object.assign(new Camera(), { x: this.x, y: this.y, k: this.k, floor: this.floor });
  }
}
