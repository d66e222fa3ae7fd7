// Where everything stands. Every view node has a row of its own, so labels never overlap, whatever the other axis says:
// depth, or time. A parent stands in the middle of its children, as in a phylogeny; an only child shares its parent's
// row where the parent's label leaves room, so that a line of descent runs straight while it can and steps down where
// it can't. World units: columns and rows are pixels at zoom 1.

import { hierarchy } from "../vendor/d3-hierarchy.min.js";

export const FULL = 26; // height of a row at zoom 1
export const TOUCH = 34; // … where fingers point
const MARK = 14; // from the middle of a shape to its label, and room on its other side
const GAP = 14; // between a label's end and what comes after it
const EDGE = 24; // around the whole picture
const NARROW = 26;
const WIDE = 240;
const LANE = 22; // from the trunk to the guests' shapes

/**
 * Where each level begins: columns share what the picture is wide, but for those that must hold a lane of guests before
 * their host.
 */
function columns(nodes, width, labelRoom) {
  const deepest = nodes.reduce((most, node) => Math.max(most, node.level), 0);
  const needs = new Array(Math.max(1, Math.ceil(deepest))).fill(0);
  for (const node of nodes) {
    if (!node.guests.length || node.level <= 0) continue;
    const column = Math.ceil(node.level) - 1;
    needs[column] = Math.max(needs[column], LANE + MARK + Math.max(...node.guests.map((guest) => guest.width)) + 3 * GAP);
  }
  const all = width - labelRoom - 2 * EDGE;
  let step = WIDE;
  for (let round = 0; round < 3; round += 1) {
    const wider = needs.filter((need) => need > step);
    const rest = all - wider.reduce((sum, need) => sum + need, 0);
    step = Math.max(NARROW, Math.min(WIDE, rest / Math.max(1, needs.length - wider.length)));
  }
  const starts = [0];
  for (const need of needs) starts.push(starts.at(-1) + Math.max(step, need));
  return (level) => {
    const whole = Math.floor(level);
    const start = starts[whole] ?? starts.at(-1) + (whole - needs.length) * step;
    return start + (level - whole) * ((starts[whole + 1] ?? start + step) - start);
  };
}

/** Time of a view node, or of what it hangs on; what is not dated stands a little after its parent. */
function times(nodes) {
  const when = new Map();
  for (const node of nodes) {
    const own = node.kind === "model" || node.kind === "guest" ? node.model.created : null;
    when.set(node, own ?? null);
  }
  return when;
}

/**
 * Set `x`, `y` of every view node of a forest, and what the picture needs to know of itself.
 *
 * `room`: { width, row, labelRoom, axis } — the picture's width in pixels, a row's height, the room that labels take
 * right of the last column, "depth" or "time". Each view node must have its `width` (label and badges, in pixels).
 * Returns { width, height, axis: null | { start, end, at(time) } } in world units.
 */
export function place(forest, room) {
  const nodes = forest.order;
  let at;
  let axis = null;
  if (room.axis === "time") {
    const when = times(nodes);
    const known = [...when.values()].filter((time) => time !== null);
    const first = known.length ? Math.min(...known) : Date.UTC(2024, 0, 1);
    const last = Math.max(first, ...known);
    const spare = Math.max(0, 30 * 86_400_000 - (last - first)) / 2; // a month at least
    const [start, end] = [first - spare, last + spare];
    const lane = Math.max(0, ...forest.roots.map((root) => laneOf(root)));
    const span = Math.max(240, room.width - room.labelRoom - 2 * EDGE - lane);
    axis = { start, end, at: (time) => lane + ((time - start) / (end - start)) * span };
    at = (node, parentX) => {
      const time = when.get(node);
      if (time !== null) return axis.at(time);
      return node.kind === "model" && parentX === null ? lane : (parentX ?? lane) + LANE;
    };
  } else {
    const column = columns(nodes, room.width, room.labelRoom);
    const shift = Math.max(0, ...forest.roots.map((root) => laneOf(root)));
    at = (node) => shift + column(node.level);
  }

  let row = 0;
  for (const root of forest.roots) {
    const tree = hierarchy(root, (node) => node.children);
    tree.eachBefore((each) => {
      each.data.x = at(each.data, each.parent ? each.parent.data.x : null);
    });
    tree.eachAfter(measure);
    stack(tree, row + tree.up, room.row);
    row += tree.up + 1 + tree.down + 1;
    tree.each(({ data }) => lane(data, axis));
  }
  const width = nodes.reduce((most, node) => Math.max(most, node.x + MARK + node.width), 0);
  return { width: width + EDGE, height: row * room.row, axis };
}

/** Room before a root that has guests: there is no column before it. */
function laneOf(root) {
  return root.guests.length ? LANE + MARK + Math.max(...root.guests.map((guest) => guest.width)) + 3 * GAP : 0;
}

/**
 * How a node and its children share rows: { straight, upper, rows }. `straight` is the child on the node's own row, if
 * the node's label leaves room: an only one, or the middle of an odd number. `upper` is how many children stand above.
 * Guests stand before the node, beside its children's rows, half above and half below its own.
 */
function divide(each) {
  const { data, children = [] } = each;
  const middle = children.length % 2 ? children[(children.length - 1) / 2] : null;
  const room = middle ? middle.data.x - data.x - (middle.data.guests.length ? LANE + GAP : 0) : 0;
  const straight = middle && room > MARK + data.width + GAP && !data.guests.length && (children.length === 1 || !middle.data.guests.length) ? middle : null;
  const upper = straight ? (children.length - 1) / 2 : children.length > 1 ? Math.floor(children.length / 2) : 0;
  return { straight, upper, above: Math.ceil(data.guests.length / 2), below: Math.floor(data.guests.length / 2) };
}

/** Rows of a subtree above and below its root's own row: sets `up` and `down` on each node of the hierarchy. */
function measure(each) {
  const { children = [] } = each;
  each.plan = divide(each);
  const { straight, upper, above, below } = each.plan;
  const rows = (child) => child.up + 1 + child.down;
  const first = straight ? upper + 1 : upper;
  const sum = (list) => list.reduce((total, child) => total + rows(child), 0);
  each.up = Math.max(above, sum(children.slice(0, upper)) + (straight ? straight.up : 0));
  each.down = Math.max(below, sum(children.slice(first)) + (straight ? straight.down : 0));
}

/** Give rows to a measured subtree whose root stands in row `own`. */
function stack(each, own, height) {
  const { data, children = [], plan } = each;
  data.y = own * height;
  data.straight = plan.straight?.data ?? null;
  data.guests.forEach((guest, at) => {
    guest.y = (at < plan.above ? own - plan.above + at : own + 1 + at - plan.above) * height;
  });
  if (plan.straight) stack(plan.straight, own, height);
  let row = own - (plan.straight ? plan.straight.up : 0);
  for (const child of children.slice(0, plan.upper).reverse()) {
    row -= child.down + 1;
    stack(child, row, height);
    row -= child.up;
  }
  row = own + (plan.straight ? plan.straight.down : 0);
  for (const child of children.slice(plan.straight ? plan.upper + 1 : plan.upper)) {
    row += child.up + 1;
    stack(child, row, height);
    row += child.down;
  }
}

/** Guests stand in a lane before their host; in time, where their date says, if that leaves room for their label. */
function lane(host, axis) {
  const widest = Math.max(0, ...host.guests.map((guest) => guest.width));
  for (const guest of host.guests) {
    const left = host.x - 2 * GAP - MARK - widest;
    const dated = axis && guest.kind === "guest" && guest.model.created !== null ? axis.at(guest.model.created) : left;
    guest.x = Math.min(dated, host.x - 2 * GAP - MARK - guest.width);
  }
}

/**
 * Which labels can be read as the camera stands: all where rows are high enough, else those of the most telling nodes
 * that leave each other room. Sets `labelled`. `important` says how telling a view node is (a number); `scale` is that
 * of labels.
 */
export function thin(forest, camera, scale, lineHeight, important) {
  const { k, kx } = camera;
  const buckets = new Map();
  const free = (node) => {
    const y = (node.y * k) / scale;
    const left = (node.x * kx) / scale - MARK;
    const right = (node.x * kx) / scale + MARK + node.width;
    const bucket = Math.floor(y / lineHeight);
    for (let b = bucket - 1; b <= bucket + 1; b += 1) {
      for (const [otherY, otherLeft, otherRight] of buckets.get(b) ?? []) {
        if (Math.abs(otherY - y) < lineHeight && left < otherRight && otherLeft < right) return false;
      }
    }
    if (!buckets.has(bucket)) buckets.set(bucket, []);
    buckets.get(bucket).push([y, left, right]);
    return true;
  };
  forest.ranked ??= forest.order.map((node, index) => [important(node), -index, node]).sort((a, b) => b[0] - a[0] || b[1] - a[1]);
  for (const [, , node] of forest.ranked) node.labelled = free(node);
}

/** Where ticks of a time axis stand: years, quarters or months, whichever leaves `least` world units between two. */
export function ticks(axis, k, least = 64) {
  const perDay = ((axis.at(axis.end) - axis.at(axis.start)) / Math.max(1, (axis.end - axis.start) / 86_400_000)) * k;
  const months = [1, 3, 6, 12, 24].find((each) => each * 30.4 * perDay >= least) ?? 48;
  const first = new Date(axis.start);
  const result = [];
  let month = Math.ceil((first.getUTCFullYear() * 12 + first.getUTCMonth()) / months) * months;
  for (; ; month += months) {
    const time = Date.UTC(Math.floor(month / 12), month % 12, 1);
    if (time > axis.end) break;
    if (time >= axis.start) result.push({ time, x: axis.at(time), year: month % 12 === 0 || months >= 12 });
  }
  return result;
}
