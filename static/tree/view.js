// Where the picture looks: the first view, fitting, framing, and what stays put when all else moves.

import { boundsOf } from "./export.js";

const MARGIN = 40; // px around the picture when it is fitted
const NARROW = 640; // px: below, a picture is as on a phone
const LEGIBLE = 0.6; // a first view zooms out no further; who wants to see all presses 0
const STEP = 1.4;

export class View {
  /** `page` has picture, forest, data, store, interaction. */
  constructor(page) {
    this.page = page;
    this.labelRoom = 0;
  }

  get narrow() {
    return this.page.picture.width < NARROW;
  }

  get margin() {
    return this.narrow ? 16 : MARGIN;
  }

  get focus() {
    const { page } = this;
    return page.forest.placed.get(page.data.ids.get(page.store.state.focus));
  }

  /** Learn how wide a forest is that was just placed. */
  learn(forest, labelRoom) {
    this.labelRoom = labelRoom;
    const all = forest.order.map((node) => node.x);
    const { picture } = this.page;
    picture.camera.widen(Math.min(0, ...all), Math.max(...all), picture.width, labelRoom, this.margin);
  }

  /** The first view: where the address says, else all, else the focus. */
  aim() {
    const { page } = this;
    const { camera, width, height } = page.picture;
    const saved = page.store.state.camera;
    if (saved) {
      camera.k = saved.k;
      camera.pin(saved.x, saved.y, width / 2, height / 2);
      return;
    }
    this.fit(camera);
    if (camera.k >= LEGIBLE) return;
    camera.k = this.narrow ? 1 : 0.8;
    const { focus } = this;
    const wide = (focus.x + focus.width) * camera.kx + MARGIN < width;
    camera.pin(wide ? 0 : focus.x, focus.y, wide ? this.margin : width / 4, height / 2);
  }

  fit(camera) {
    camera.fit(boundsOf(this.page.forest), this.page.picture.height, this.margin);
  }

  /** Move so that these nodes are in sight, if they can be. */
  frame(nodes) {
    const [left, right] = [Math.min(...nodes.map((node) => node.x)), Math.max(...nodes.map((node) => node.x))];
    const [top, bottom] = [Math.min(...nodes.map((node) => node.y)), Math.max(...nodes.map((node) => node.y))];
    const { picture } = this.page;
    picture.glide((camera) => {
      const { width, height } = picture;
      const down = (height - 120) / Math.max(1, bottom - top);
      if (down < camera.k) camera.k = Math.max(0.15, down);
      camera.pin((left + right) / 2, (top + bottom) / 2, (width - this.labelRoom) / 2 + this.margin, height / 2);
    });
    this.moved();
  }

  /** The key of the node that should stay when all else moves: the selected one, or the nearest to the middle. */
  centre() {
    const { forest, picture } = this.page;
    if (!forest) return "";
    const at = forest.order.find((node) => node.chosen) ?? forest.byKey.get(picture.active);
    if (at) {
      const [x, y] = picture.at(at);
      if (x > 0 && y > 0 && x < picture.width && y < picture.height) return at.key;
    }
    const [mx, my] = [picture.width / 2.5, picture.height / 2];
    let best = "";
    let least = Infinity;
    for (const node of forest.order) {
      if (node.kind !== "model") continue;
      const [x, y] = picture.at(node);
      const distance = Math.hypot(x - mx, y - my);
      if (distance < least) [best, least] = [node.key, distance];
    }
    return best;
  }

  /** The camera moved: keep something in sight, and in the end write it into the address. */
  moved() {
    const { picture, forest, store } = this.page;
    if (!forest) return;
    picture.aim.hold(boundsOf(forest), picture.width, picture.height);
    picture.ask();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      const { x, y, k, kx } = picture.aim;
      store.set({ camera: { x: (picture.width / 2 - x) / kx, y: (picture.height / 2 - y) / k, k } });
    }, 250);
  }

  /** Whether the picture has more to show in a direction: if not, the wheel scrolls the page. */
  room(dx, dy) {
    const { picture, forest } = this.page;
    if (!forest) return false;
    const bounds = boundsOf(forest);
    const [left, top] = picture.camera.screen(bounds.left, bounds.top);
    const [right, bottom] = picture.camera.screen(bounds.right, bounds.bottom);
    if (Math.abs(dx) > Math.abs(dy)) return dx > 0 ? right > picture.width : left < 0;
    return dy > 0 ? bottom > picture.height : top < 0;
  }

  /** The buttons: "in", "out", "fit", "home". */
  zoom(what) {
    const { page } = this;
    if (!page.forest) return;
    if (what === "in") page.picture.step(STEP);
    else if (what === "out") page.picture.step(1 / STEP);
    else if (what === "fit") page.picture.glide((camera) => this.fit(camera));
    else {
      const { focus } = this;
      page.picture.glide((camera) => {
        camera.k = Math.max(camera.k, 0.8);
        camera.pin(focus.x, focus.y, page.picture.width / 4, page.picture.height / 2);
      });
      page.interaction.walkTo(focus, { focus: false, scroll: false });
    }
    this.moved();
  }
}
