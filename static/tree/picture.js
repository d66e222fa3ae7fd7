// The drawing. Holds one element for each view node and line that is in sight, and moves them from where they stood to
// where they are to stand. What is out of sight has no element: a tree of thousands costs what is seen of it.

import { MOST } from "./camera.js";
import * as links from "./links.js";
import { importance } from "./labels.js";
import { thin, ticks } from "./layout.js";
import { LABEL, banner, paint, svg } from "./nodes.js";
import { day, month } from "./text.js";

const MOVE = 220; // ms
const MARGIN = 160; // px beyond the picture's edges that are drawn too
const LINE = 15; // px that a label needs in height
const GATHER = 22; // px before a node where its other parents' lines come together
const BEND = 7; // px of a corner's radius, as in links.js
const CLEAR = 8; // px from a shape's middle to where a line ends

const ease = (t) => 1 - (1 - t) ** 3;

export class Picture {
  forest = null;
  frame = null; // what layout.place said
  active = ""; // key of the node that the keyboard is on
  resting = ""; // key of the node that mouse or keyboard rests on
  covered = { right: 0, bottom: 0 }; // px that something else stands before
  stirred = () => {}; // told when something begins or ceases to move
  #elements = new Map(); // key → { group, signature }
  #lines = new Map(); // key → path
  #move = null;
  #asked = 0;
  #thinned = "";

  /** `whole`: draw everything, in sight or not, without motion (for saving). */
  constructor(root, camera, { whole = false } = {}) {
    this.root = root;
    this.camera = camera;
    this.wholly = whole;
    this.axis = svg("g", { class: "axis", "aria-hidden": "true" });
    this.back = svg("g", { class: "links", "aria-hidden": "true" });
    this.over = svg("g", { class: "overlay", "aria-hidden": "true" });
    this.nodes = svg("g", { class: "nodes" });
    this.front = svg("g", { class: "front", "aria-hidden": "true" });
    root.append(this.axis, this.back, this.over, this.nodes, this.front);
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.resize();
  }

  resize() {
    this.width = this.root.clientWidth || 800;
    this.height = this.root.clientHeight || 600;
  }

  /**
   * Draw a forest that has been placed. What stood before moves; what is new comes from its parent. The node of key
   * `keep` stays where it is on the screen, and so the eye on it.
   */
  show(forest, frame, { keep = "", animate = true } = {}) {
    const old = new Map();
    if (this.forest) for (const node of this.forest.order) old.set(node.key, [node.px, node.py]);
    const from = this.camera.copy();
    const anchor = forest.byKey.get(keep);
    const stood = old.get(keep);
    if (anchor && stood) this.camera.pin(anchor.x, anchor.y, ...from.screen(...stood));
    for (const node of forest.order) {
      let origin = old.get(node.key);
      for (let up = node.host ?? node.parent; !origin && up; up = up.parent) origin = old.get(up.key);
      [node.fx, node.fy] = origin ?? [node.x, node.y];
    }
    this.forest = forest;
    this.frame = frame;
    this.#thinned = "";
    if (!animate || !old.size || this.still.matches || this.wholly) {
      this.#move = null;
      this.#settle(1);
      this.draw();
      return;
    }
    this.#move = { start: performance.now(), from, to: this.camera.copy() };
    this.#settle(0);
    this.ask();
    this.stirred();
  }

  /** Whether something is moving. */
  get moving() {
    return this.#move !== null;
  }

  #settle(t) {
    for (const node of this.forest.order) {
      node.px = node.fx + (node.x - node.fx) * t;
      node.py = node.fy + (node.y - node.fy) * t;
    }
    if (!this.#move) return;
    const { from, to } = this.#move;
    for (const part of ["k", "x", "y"]) this.camera[part] = from[part] + (to[part] - from[part]) * t;
  }

  /** Move the camera to where `change` puts it. */
  glide(change) {
    if (!this.forest) return;
    const from = this.camera.copy();
    if (this.#move) Object.assign(this.camera, this.#move.to);
    change(this.camera);
    if (this.still.matches) {
      this.#move = null;
      this.#settle(1);
      this.ask();
      return;
    }
    for (const node of this.forest.order) [node.fx, node.fy] = [node.px, node.py];
    this.#move = { start: performance.now(), from, to: this.camera.copy() };
    Object.assign(this.camera, from);
    this.ask();
    this.stirred();
  }

  /** The camera's state at the end of what moves now. */
  get aim() {
    return this.#move?.to ?? this.camera;
  }

  /** Stop moving, where the visitor takes hold. */
  halt() {
    if (!this.#move) return;
    this.#move = null;
    this.#settle(1);
  }

  /** Draw before the next frame. */
  ask() {
    if (this.#asked) return;
    this.#asked = requestAnimationFrame((now) => {
      this.#asked = 0;
      if (this.#move) {
        const t = Math.max(0, Math.min(1, (now - this.#move.start) / MOVE));
        this.#settle(ease(t));
        if (t >= 1) this.#move = null;
        else this.ask();
      }
      this.draw();
      if (!this.#move) this.stirred();
    });
  }

  /** Screen position of a node now. */
  at(node) {
    return this.camera.screen(node.px, node.py);
  }

  /** Where the end of a node's label is on the screen. */
  #end(node, scale) {
    const [x] = this.at(node);
    if (!node.labelled) return x + CLEAR;
    // A saved picture has no pills to shut something.
    const shut = this.wholly ? node.pills.findIndex((pill) => !["open", "parents"].includes(pill.does)) : -1;
    const width = shut < 0 ? node.width : Math.max(node.pills[shut].x - 6, ...node.pills.filter((pill) => ["open", "parents"].includes(pill.does)).map((pill) => pill.x + pill.width));
    return x + (LABEL + width + 6) * scale;
  }

  draw() {
    const { forest, camera } = this;
    if (!forest) return;
    const scale = Math.min(1.6, Math.max(1, camera.k));
    const thinned = `${camera.k.toFixed(3)} ${this.frame.row}`;
    if (thinned !== this.#thinned && !this.#move) {
      thin(forest, camera, scale, LINE, importance);
      this.#thinned = thinned;
    } else if (forest.order.some((node) => node.labelled === undefined)) thin(forest, camera, scale, LINE, importance);
    const top = this.wholly ? -Infinity : (-MARGIN - camera.y) / camera.k;
    const bottom = this.wholly ? Infinity : (this.height + MARGIN - camera.y) / camera.k;
    const inSight = (node) => node.py >= top && node.py <= bottom;
    this.root.classList.toggle("tracing", Boolean(this.trace));
    this.#drawNodes(forest.order.filter((node) => inSight(node) || node.key === this.active), scale);
    this.#drawLines(inSight, top, bottom, scale);
    this.#drawFront(inSight);
    this.#drawAxis();
  }

  #drawNodes(visible, scale) {
    const gone = new Set(this.#elements.keys());
    let cursor = this.nodes.firstChild;
    const focused = document.activeElement;
    for (const node of visible) {
      gone.delete(node.key);
      let entry = this.#elements.get(node.key);
      if (!entry) {
        entry = { group: svg("g", this.wholly ? {} : { role: "treeitem", tabindex: "-1" }), signature: "" };
        this.#elements.set(node.key, entry);
      }
      entry.signature = paint(entry.group, node, entry.signature);
      const [x, y] = this.at(node);
      const place = `translate(${x.toFixed(1)} ${y.toFixed(1)})${scale > 1 ? ` scale(${scale.toFixed(3)})` : ""}`;
      if (entry.place !== place) entry.group.setAttribute("transform", place);
      entry.place = place;
      entry.group.classList.toggle("on", Boolean(this.trace?.nodes.has(node.key)));
      if (!this.wholly) this.#relate(entry, node);
      if (entry.group === cursor) cursor = cursor.nextSibling;
      else this.nodes.insertBefore(entry.group, cursor);
    }
    for (const key of gone) {
      this.#elements.get(key).group.remove();
      this.#elements.delete(key);
    }
    if (focused && focused !== document.activeElement && focused.isConnected && this.nodes.contains(focused)) focused.focus({ preventScroll: true });
  }

  /** Where rows are close together, names amid the picture stand on ground of their own. */
  #drawFront(inSight) {
    const close = this.frame.row * this.camera.k < LINE && !this.trace;
    const amid = close ? this.forest.order.filter((node) => node.labelled && node.children.length && inSight(node)) : [];
    // … and so does the name that there was no room for, when its node is rested on.
    const rested = this.forest.byKey.get(this.resting);
    if (rested && !rested.labelled) amid.push(rested);
    this.front.replaceChildren(...amid.map((node) => {
      const group = banner(node);
      const [x, y] = this.at(node);
      group.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
      return group;
    }));
  }

  /** What a screen reader is told of a node's place, though most of its siblings have no element. */
  #relate(entry, node) {
    let level = 1;
    if (!node.host) for (let up = node.parent; up; up = up.parent) level += 1;
    const told = `${level} ${node.of} ${node.place} ${node.key === this.active}`;
    if (entry.told === told) return;
    entry.told = told;
    entry.group.setAttribute("aria-level", level);
    entry.group.setAttribute("aria-setsize", node.of);
    entry.group.setAttribute("aria-posinset", node.place);
    entry.group.setAttribute("tabindex", node.key === this.active ? "0" : "-1");
  }

  #drawLines(inSight, top, bottom, scale) {
    const { camera } = this;
    const used = new Set();
    const put = (key, layer, className, d) => {
      used.add(key);
      let path = this.#lines.get(key);
      if (!path) {
        path = svg("path", { fill: "none" });
        this.#lines.set(key, path);
      }
      if (path.parentNode !== layer) layer.append(path);
      if (path.getAttribute("class") !== className) path.setAttribute("class", className);
      if (path.getAttribute("d") !== d) path.setAttribute("d", d);
    };
    const on = (key) => (this.trace?.links.has(key) ? " on" : "");
    const style = (node) => `link r-${node.relation ?? "unknown"} ${node.edge ? `k-${node.edge.k}` : "k-group"}${node.edge && !node.edge.primary ? " second" : ""}${node.context ? " context" : ""}`;
    for (const node of this.forest.order) {
      if (!node.children.length && !node.guests.length) continue;
      const [px, py] = this.at(node);
      if (node.children.length) {
        const low = Math.min(node.py, ...node.children.map((child) => child.py));
        const high = Math.max(node.py, ...node.children.map((child) => child.py));
        if (high < top || low > bottom) continue;
        if (high > low) {
          const inset = Math.min(BEND, ((high - low) * camera.k) / 2);
          const from = (Math.max(low, top) * camera.k) + camera.y + (low < node.py && low >= top ? inset : 0);
          const to = (Math.min(high, bottom) * camera.k) + camera.y - (high > node.py && high <= bottom ? inset : 0);
          put(`t${node.key}`, this.back, "trunk", links.trunk(px, from, to));
        }
        for (const child of node.children) {
          const traced = this.trace?.links.has(child.key);
          if (!inSight(child) && !traced) continue;
          const [cx, cy] = this.at(child);
          const from = node.straight === child ? this.#end(node, scale) : null;
          // A child that stands before its parent is reached from behind its label; where the label reaches over the
          // trunk, it hangs on the trunk itself.
          const behind = cx < px ? this.#end(child, scale) : 0;
          if (behind > px) continue;
          const clear = behind ? behind - cx : CLEAR;
          if (inSight(child)) {
            put(`b${child.key}`, this.back, `${style(child)}${on(child.key)}`, from === null ? links.branch(px, py, cx, cy, clear) : links.whole(px, py, cx, cy, clear, from));
          }
          if (traced) put(`o${child.key}`, this.over, `${style(child)} on`, links.whole(px, py, cx, cy, clear, from));
        }
      }
      if (node.guests.length) this.#drawGuests(node, { put, on, style, inSight, top, bottom, scale });
    }
    const crowded = this.forest.curves.length > 60 ? " crowded" : "";
    for (const { from, to, edge } of this.forest.curves) {
      const key = `c${edge.p}-${edge.c}`;
      if (!inSight(from) && !inSight(to)) continue;
      const [px, py] = this.at(from);
      const [cx, cy] = this.at(to);
      const d = from === to ? links.loop(px, py) : links.curve(px, py, this.#end(from, scale), cx, cy, CLEAR);
      put(key, this.trace?.links.has(key) ? this.over : this.back, `link curve k-${edge.k} r-${to.relation}${crowded}${on(key)}`, d);
    }
    for (const [key, path] of this.#lines) {
      if (used.has(key)) continue;
      path.remove();
      this.#lines.delete(key);
    }
  }

  /** The lane of a node's other parents: a branch from each label to a trunk of their own, which leads to the node. */
  #drawGuests(node, { put, on, style, inSight, top, bottom, scale }) {
    const [hx, hy] = this.at(node);
    const x = hx - GATHER * scale;
    const rows = node.guests.map((guest) => guest.py);
    const [low, high] = [Math.min(...rows, node.py), Math.max(...rows, node.py)];
    if (high < top || low > bottom) return;
    const edge = (row) => this.camera.screen(0, row)[1];
    const from = edge(Math.max(low, top)) + (low < node.py && low >= top ? BEND : 0);
    const to = edge(Math.min(high, bottom)) - (high > node.py && high <= bottom ? BEND : 0);
    put(`h${node.key}`, this.back, "trunk", links.trunk(x, from, to));
    put(`j${node.key}`, this.back, "trunk", links.whole(x, hy, hx, hy, CLEAR, x));
    for (const guest of node.guests) {
      const [, gy] = this.at(guest);
      const start = this.#end(guest, scale);
      if (inSight(guest)) put(`g${guest.key}`, this.back, `${style(guest)} guest${on(guest.key)}`, links.joining(start, gy, hy, x));
      if (this.trace?.links.has(guest.key)) put(`o${guest.key}`, this.over, `${style(guest)} guest on`, links.guest(start, gy, hx, hy, x, CLEAR));
    }
  }

  #drawAxis() {
    const { axis } = this.frame;
    this.axis.replaceChildren();
    if (!axis) return;
    const bottom = this.wholly ? this.frame.bottom : this.height;
    this.axis.append(svg("rect", { class: "ground", x: 0, y: 0, width: this.width, height: 22 }));
    for (const { time, x, year } of ticks(axis, this.camera.kx)) {
      const at = x * this.camera.kx + this.camera.x;
      if (at < 0 || at > this.width) continue;
      const label = svg("text", { x: at + 4, y: 15, "font-size": 11 });
      label.textContent = year ? String(new Date(time).getUTCFullYear()) : month(time);
      const title = svg("title");
      title.textContent = day(time);
      label.append(title);
      this.axis.append(svg("line", { x1: at, x2: at, y1: 0, y2: bottom, class: year ? "year" : "" }), label);
    }
  }

  /** The element of a view node, if it is in sight. */
  element(key) {
    return this.#elements.get(key)?.group;
  }

  /** Draw anew, after something else has used the same view nodes. */
  refresh() {
    this.#thinned = "";
    this.draw();
  }

  /** Zoom about the middle of the picture, in steps. */
  step(factor) {
    this.glide((camera) => camera.zoom(Math.min(MOST / camera.k, factor), this.width / 2, this.height / 2));
  }
}
