// Mouse, touch and keyboard on the picture: resting, choosing, opening, walking, panning, zooming.

import { line } from "./forest.js";

const SLACK = 5; // px that a click may wander
const DOUBLE = 320; // ms between two clicks that mean "open"
const STEP = 1.25;
const WALK = 60; // px that a pan by key moves

/** What lights up with a node: its line to the root, and the curves and guests that lead into it. */
export function traceOf(forest, node) {
  const nodes = new Set();
  const links = new Set();
  const follow = (from) => {
    for (const each of line(from)) {
      nodes.add(each.key);
      links.add(each.key);
    }
  };
  follow(node);
  for (const guest of node.guests) {
    nodes.add(guest.key);
    links.add(guest.key);
  }
  for (const { from, to, edge } of forest.curves) {
    if (to !== node) continue;
    links.add(`c${edge.p}-${edge.c}`);
    nodes.add(from.key);
  }
  return { nodes, links };
}

/** What lights up for a path: its models, and the lines between each two of them. `steps` are ids. */
export function traceOfPath(forest, steps) {
  const nodes = new Set();
  const links = new Set();
  const climb = (child, owner) => {
    for (let at = child; at && at !== owner; at = at.parent) {
      nodes.add(at.key);
      links.add(at.key);
    }
  };
  const isAbove = (upper, lower) => {
    for (let at = lower?.parent; at; at = at.parent) if (at.kind === "model") return at === upper;
    return false;
  };
  steps.forEach((id, at) => {
    const node = forest.placed.get(id);
    if (!node) return;
    nodes.add(node.key);
    const before = forest.placed.get(steps[at - 1]);
    if (!before) return;
    if (isAbove(before, node)) climb(node, before);
    else if (isAbove(node, before)) climb(before, node);
    else for (const [p, c] of [[id, before.id], [before.id, id]]) links.add(`c${p}-${c}`);
  });
  return { nodes, links };
}

export class Interaction {
  #pointers = new Map();
  #dragged = false;
  #last = { key: "", time: 0 };
  #under = null; // the node below the mouse

  /**
   * `on`: act(node), pill(node, does), choose(node), open(node), rest(node | null), moved() (the camera), fit().
   */
  constructor(picture, on) {
    this.picture = picture;
    this.on = on;
    const root = picture.root;
    root.addEventListener("pointerdown", (event) => this.#down(event));
    root.addEventListener("pointermove", (event) => this.#movePointer(event));
    for (const name of ["pointerup", "pointercancel"]) root.addEventListener(name, (event) => this.#up(event));
    root.addEventListener("click", (event) => this.#click(event));
    root.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    root.addEventListener("keydown", (event) => this.#key(event));
    // Not pointerover: when the picture moves below a mouse that rests, nothing is to light up.
    root.addEventListener("pointermove", (event) => {
      if (event.pointerType !== "mouse" || this.#pointers.size) return;
      const node = this.#node(event.target);
      if (node === this.#under) return;
      this.#under = node;
      on.rest(node);
    });
    root.addEventListener("pointerleave", () => {
      this.#under = null;
      on.rest(null);
    });
    root.addEventListener("focusin", (event) => {
      const node = this.#node(event.target);
      if (node) this.walkTo(node, { focus: false });
      if (node && event.target.matches(":focus-visible")) on.rest(node);
    });
    root.addEventListener("focusout", () => on.rest(null));
  }

  #node(target) {
    const key = target.closest?.("[data-key]")?.getAttribute("data-key");
    return key ? this.picture.forest?.byKey.get(key) ?? null : null;
  }

  // --- pointers -----------------------------------------------------------------------------------------------------
  #at(event) {
    const box = this.picture.root.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  #down(event) {
    if (event.pointerType === "mouse" && event.button !== 0) return;
    this.picture.halt();
    this.#pointers.set(event.pointerId, { start: this.#at(event), now: this.#at(event) });
    this.#dragged = this.#pointers.size > 1;
  }

  #movePointer(event) {
    const pointer = this.#pointers.get(event.pointerId);
    if (!pointer) return;
    const [x, y] = this.#at(event);
    const { picture } = this;
    if (this.#pointers.size === 1) {
      if (!this.#dragged && Math.hypot(x - pointer.start[0], y - pointer.start[1]) < SLACK) return;
      if (!this.#dragged) {
        this.#dragged = true;
        picture.root.setPointerCapture(event.pointerId);
        picture.root.classList.add("dragging");
        this.on.rest(null);
      }
      picture.camera.pan(x - pointer.now[0], y - pointer.now[1]);
    } else if (this.#pointers.size === 2) {
      const [other] = [...this.#pointers].filter(([id]) => id !== event.pointerId).map(([, each]) => each.now);
      const before = Math.hypot(pointer.now[0] - other[0], pointer.now[1] - other[1]);
      const after = Math.hypot(x - other[0], y - other[1]);
      const [cx, cy] = [(x + other[0]) / 2, (y + other[1]) / 2];
      picture.camera.pan((x - pointer.now[0]) / 2, (y - pointer.now[1]) / 2);
      if (before > 10 && after > 10) picture.camera.zoom(after / before, cx, cy);
      this.#dragged = true;
    }
    pointer.now = [x, y];
    this.on.moved();
  }

  #up(event) {
    if (!this.#pointers.delete(event.pointerId)) return;
    if (!this.#pointers.size) this.picture.root.classList.remove("dragging");
  }

  #click(event) {
    if (this.#dragged) {
      this.#dragged = false;
      return;
    }
    const node = this.#node(event.target);
    if (!node) {
      this.on.choose(null);
      return;
    }
    this.walkTo(node, { scroll: false });
    const does = event.target.closest("[data-does]")?.getAttribute("data-does");
    const again = this.#last.key === node.key && event.timeStamp - this.#last.time < DOUBLE;
    this.#last = { key: node.key, time: event.timeStamp };
    if (does) this.on.pill(node, does);
    else if (!["model", "guest", "ghost"].includes(node.kind)) this.on.act(node);
    else if (again) this.on.act(node);
    else this.on.choose(node);
  }

  #wheel(event) {
    const { picture } = this;
    const unit = event.deltaMode === 1 ? 24 : event.deltaMode === 2 ? picture.height : 1;
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      picture.halt();
      const [x, y] = this.#at(event);
      picture.camera.zoom(Math.exp((-event.deltaY * unit) / 300), x, y);
      this.on.moved();
      return;
    }
    const [dx, dy] = event.shiftKey && !event.deltaX ? [event.deltaY, 0] : [event.deltaX, event.deltaY];
    // Where the picture has nothing more in that direction, the page scrolls.
    if (!this.on.room(dx, dy)) return;
    event.preventDefault();
    picture.halt();
    picture.camera.pan(-dx * unit, -dy * unit);
    this.on.moved();
  }

  // --- keyboard -----------------------------------------------------------------------------------------------------
  /** Make a node the one that the keyboard is on. */
  walkTo(node, { focus = true, scroll = true } = {}) {
    const { picture } = this;
    picture.active = node.key;
    if (scroll) this.reveal(node);
    picture.draw();
    if (focus) picture.element(node.key)?.focus({ preventScroll: true });
  }

  /** Pan as little as is needed for a node to be in sight, with as much of its label as there is room for. */
  reveal(node) {
    const { picture } = this;
    const [sx, sy] = picture.aim.screen(node.x, node.y);
    const [right, bottom] = [picture.width - picture.covered.right - 16, picture.height - picture.covered.bottom - 32];
    const end = sx + Math.min(node.width + 24, right - 32);
    const dx = sx < 32 ? 32 - sx : end > right ? right - end : 0;
    const dy = sy < 40 ? 40 - sy : sy > bottom ? bottom - sy : 0;
    if (!dx && !dy) return;
    picture.glide((camera) => camera.pan(dx, dy));
    this.on.moved();
  }

  #key(event) {
    const { picture, on } = this;
    const forest = picture.forest;
    const node = forest?.byKey.get(picture.active);
    if (!node || event.ctrlKey || event.metaKey || event.altKey) return;
    const done = () => event.preventDefault();
    if (event.shiftKey && event.key.startsWith("Arrow")) {
      const [dx, dy] = { ArrowLeft: [WALK, 0], ArrowRight: [-WALK, 0], ArrowUp: [0, WALK], ArrowDown: [0, -WALK] }[event.key];
      picture.glide((camera) => camera.pan(dx, dy));
      on.moved();
      done();
      return;
    }
    const go = (to) => {
      if (to) this.walkTo(to);
      done();
    };
    switch (event.key) {
      case "ArrowLeft": return go(node.host ? null : node.parent);
      case "ArrowRight":
        if (node.host) return go(node.host);
        if (node.children.length) return go(node.children[Math.floor(node.children.length / 2)]);
        on.open(node);
        return done();
      case "ArrowDown": return go(this.#neighbour(node, 1));
      case "ArrowUp": return go(this.#neighbour(node, -1));
      case "Home": return go(forest.roots[0]);
      case "End": return go(forest.order.at(-1));
      case "Enter": on.act(node); return done();
      case " ": on.choose(node); return done();
      case "Escape": on.choose(null); return done();
      case "+": case "=": picture.step(STEP); on.moved(); return done();
      case "-": case "_": picture.step(1 / STEP); on.moved(); return done();
      case "0": on.fit(); return done();
      default: return undefined;
    }
  }

  /** The sibling before or after; at the ends, whatever stands in the next row. */
  #neighbour(node, way) {
    const siblings = node.host?.guests ?? node.parent?.children ?? this.picture.forest.roots;
    const sibling = siblings[siblings.indexOf(node) + way];
    if (sibling) return sibling;
    let best = null;
    for (const other of this.picture.forest.order) {
      const distance = (other.y - node.y) * way;
      if (distance > 0 && (!best || distance < (best.y - node.y) * way)) best = other;
    }
    return best;
  }
}
