// The lines between shapes, as path data on the screen.

const BEND = 7; // radius of a corner
const f = (number) => number.toFixed(1);

/** A parent's trunk: from the highest child to the lowest, through the parent. */
export function trunk(x, top, bottom) {
  return `M${f(x)},${f(top)}V${f(bottom)}`;
}

/** From the trunk at `px` to a child at (cx, cy), leaving `clear` pixels for its shape. `py`: the parent's row. */
export function branch(px, py, cx, cy, clear) {
  const side = cx >= px ? 1 : -1;
  const end = cx - side * clear;
  if (Math.abs(cy - py) < 1) return `M${f(px)},${f(cy)}H${f(end)}`;
  const bend = Math.min(BEND, Math.abs(cy - py), Math.max(0, side * (end - px)));
  const towards = cy > py ? -1 : 1;
  return `M${f(px)},${f(cy + towards * bend)}Q${f(px)},${f(cy)} ${f(px + side * bend)},${f(cy)}H${f(end)}`;
}

/** Trunk and branch in one, for the line that is traced. `from`: where the line leaves the parent's label, or null. */
export function whole(px, py, cx, cy, clear, from) {
  if (from !== null) return `M${f(from)},${f(cy)}H${f(cx - clear)}`;
  if (Math.abs(cy - py) < 1) return branch(px, py, cx, cy, clear);
  const side = cx >= px ? 1 : -1;
  const end = cx - side * clear;
  const bend = Math.min(BEND, Math.abs(cy - py), Math.max(0, side * (end - px)));
  const towards = cy > py ? -1 : 1;
  return `M${f(px)},${f(py)}V${f(cy + towards * bend)}Q${f(px)},${f(cy)} ${f(px + side * bend)},${f(cy)}H${f(end)}`;
}

/** From the end of a guest's label into its host, trunk and all, for the line that is traced. */
export function guest(gx, gy, hx, hy, trunkX, clear) {
  const bend = Math.min(BEND, Math.abs(hy - gy) / 2);
  const towards = hy > gy ? 1 : -1;
  return `M${f(gx)},${f(gy)}H${f(trunkX - bend)}Q${f(trunkX)},${f(gy)} ${f(trunkX)},${f(gy + towards * bend)}V${f(hy - towards * bend)}`
    + `Q${f(trunkX)},${f(hy)} ${f(trunkX + bend)},${f(hy)}H${f(hx - clear)}`;
}

/** From the end of a guest's label to the trunk before its host, bending towards the host's row. */
export function joining(gx, gy, hy, trunkX) {
  const bend = Math.min(BEND, Math.abs(hy - gy) / 2);
  const towards = hy > gy ? 1 : -1;
  return `M${f(gx)},${f(gy)}H${f(trunkX - bend)}Q${f(trunkX)},${f(gy)} ${f(trunkX)},${f(gy + towards * bend)}`;
}

/**
 * Between two models that both have their place elsewhere. `from`: where the parent's label ends. To the right the line
 * leaves behind the label; else it keeps to the left of both, where no labels are.
 */
export function curve(px, py, from, cx, cy, clear) {
  const end = cx - clear;
  if (from < end - 8) {
    const reach = Math.max(12, Math.min(160, (end - from) / 2));
    return `M${f(from)},${f(py)}C${f(from + reach)},${f(py)} ${f(end - reach)},${f(cy)} ${f(end)},${f(cy)}`;
  }
  const left = Math.min(px - clear, end) - Math.min(64, 18 + Math.abs(cy - py) / 12);
  return `M${f(px - clear)},${f(py)}C${f(left)},${f(py)} ${f(left)},${f(cy)} ${f(end)},${f(cy)}`;
}

/** A model that names itself. */
export function loop(x, y) {
  return `M${f(x - 5)},${f(y - 5)}C${f(x - 22)},${f(y - 24)} ${f(x + 10)},${f(y - 26)} ${f(x + 2)},${f(y - 8)}`;
}
