/* A brain of points that can be turned: drawn by hand on a canvas, so that no graphics card is needed. */
const DIRECTIONS = { left: [-90, 0], right: [90, 0], front: [0, 0], back: [180, 0], above: [180, 90], below: [180, -90] };
const PLAIN = [150, 157, 166], MARK = [0, 190, 120];

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

function readPoints(element) {
  const about = JSON.parse(element.dataset.about), bytes = bytesOf(element.textContent.trim()), n = about.n;
  const part = (k) => bytes.subarray(k * n, (k + 1) * n);
  const place = [0, 1, 2].map((k) => Float32Array.from(part(k), (v) => about.low[k] + about.step * v));
  const normal = [3, 4, 5].map((k) => Float32Array.from(part(k), (v) => (v < 128 ? v : v - 256) / 127));
  const label = Uint16Array.from(part(6), (v, i) => v + 256 * part(7)[i]);
  place.forEach((axis) => {
    const middle = (axis.reduce((a, b) => Math.min(a, b)) + axis.reduce((a, b) => Math.max(a, b))) / 2;
    axis.forEach((v, i) => { axis[i] = v - middle; });
  });
  return { n, place, normal, label, rightFrom: about.rightFrom, deepFrom: about.deepFrom, spacing: about.spacing };
}

/* Axes of the screen (to the right, up, towards the reader) in the space of the brain. */
function axesOf(yaw, pitch) {
  const a = yaw * Math.PI / 180, b = pitch * Math.PI / 180;
  const to = [Math.sin(a) * Math.cos(b), Math.cos(a) * Math.cos(b), Math.sin(b)];
  const right = [-Math.cos(a), Math.sin(a), 0];
  const up = [to[1] * right[2] - to[2] * right[1], to[2] * right[0] - to[0] * right[2], to[0] * right[1] - to[1] * right[0]];
  return { right, up, to };
}

const along = (axis, [x, y, z], i) => axis[0] * x[i] + axis[1] * y[i] + axis[2] * z[i];

/* Range of points to draw solid, and whether the rest is only hinted at. */
function shownPoints(points, part) {
  if (part === "left") return [0, points.rightFrom];
  if (part === "right") return [points.rightFrom, points.deepFrom];
  return part === "deep" ? [points.deepFrom, points.n] : [0, points.deepFrom];
}

class BrainView {
  /* regions: colourOf(label), isMarked(label), isKnown(label) */
  constructor(canvas, points, regions) {
    Object.assign(this, { canvas, points, ...regions, yaw: -90, pitch: 0, zoom: 1, part: "whole" });
    this.ids = new Int32Array(0);
  }

  resize() {
    const ratio = Math.min(window.devicePixelRatio || 1, 2), width = Math.round(this.canvas.clientWidth * ratio);
    const height = Math.round(width * 0.8);
    if (this.ids.length === width * height && this.canvas.width === width) return;
    this.canvas.width = width;
    this.canvas.height = height;
    this.ids = new Int32Array(width * height);
    this.depth = new Float32Array(width * height);
    this.shadow = new Uint8Array(width * height);
  }

  draw() {
    this.resize();
    const { width } = this.canvas;
    if (!width) return;
    this.axes = axesOf(this.yaw, this.pitch);
    this.scale = width / 222 * this.zoom;
    this.ids.fill(-1);
    this.depth.fill(-1e9);
    this.shadow.fill(0);
    this.splat(...shownPoints(this.points, this.part));
    if (this.part === "deep") this.shade();
    this.paint();
  }

  /* Small discs that face along their normals; the nearest one wins each pixel. */
  splat(from, end) {
    const { points: p, scale, ids, depth, axes } = this, { width, height } = this.canvas;
    const radius = 0.95 * p.spacing * scale, reach = Math.ceil(radius);
    for (let i = from; i < end; i++) {
      const facing = along(axes.to, p.normal, i);
      if (facing < 0.02 || (from === p.deepFrom && !this.isKnown(p.label[i]))) continue;
      const across = along(axes.right, p.normal, i), upward = along(axes.up, p.normal, i), steep = Math.max(facing, 0.35);
      const x = width / 2 + along(axes.right, p.place, i) * scale;
      const y = height / 2 - along(axes.up, p.place, i) * scale, z = along(axes.to, p.place, i) * scale;
      for (let v = Math.max(0, Math.round(y) - reach); v <= Math.min(height - 1, Math.round(y) + reach); v++) {
        for (let u = Math.max(0, Math.round(x) - reach); u <= Math.min(width - 1, Math.round(x) + reach); u++) {
          const dx = u - x, dy = y - v;
          if (dx * dx + dy * dy > radius * radius) continue;
          const near = z - (across * dx + upward * dy) / steep, at = v * width + u;
          if (near > depth[at]) { depth[at] = near; ids[at] = i; }
        }
      }
    }
  }

  /* Shadow of the whole brain behind the deep regions. */
  shade() {
    const { points: p, scale, shadow, axes } = this, { width, height } = this.canvas, reach = Math.ceil(p.spacing * scale * 0.6);
    for (let i = 0; i < p.deepFrom; i++) {
      const x = Math.round(width / 2 + along(axes.right, p.place, i) * scale);
      const y = Math.round(height / 2 - along(axes.up, p.place, i) * scale);
      for (let v = Math.max(0, y - reach); v <= Math.min(height - 1, y + reach); v++) {
        shadow.fill(1, v * width + Math.max(0, x - reach), v * width + Math.min(width - 1, x + reach) + 1);
      }
    }
  }

  paint() {
    const { points: p, ids, shadow, axes } = this, { width, height } = this.canvas, context = this.canvas.getContext("2d");
    const image = context.createImageData(width, height), out = image.data;
    for (let at = 0; at < ids.length; at++) {
      const i = ids[at], next = [at + 1, at + width].filter((k) => k < ids.length);
      if (i < 0) {
        const rim = next.some((k) => shadow[k] !== shadow[at]);
        if (shadow[at] || rim) out.set([125, 133, 141, rim ? 160 : 40], 4 * at);
        continue;
      }
      const own = p.label[i], differs = (k) => ids[k] === undefined || ids[k] < 0 || p.label[ids[k]] !== own;
      const marked = this.isMarked(own) && [2, -2, 2 * width, -2 * width].some((step) => differs(at + step));
      const border = !marked && next.some(differs);
      const light = marked ? 1 : (0.42 + 0.6 * along(axes.to, p.normal, i) + 0.06 * p.normal[2][i]) * (border ? 0.6 : 1);
      const [r, g, b] = marked ? MARK : this.colourOf(p.label[i]);
      out.set([r * light, g * light, b * light, 255], 4 * at);
    }
    context.putImageData(image, 0, 0);
  }

  /* Label of the region under a place on the screen; 0 is none. */
  labelAt(event) {
    const box = this.canvas.getBoundingClientRect(), ratio = this.canvas.width / box.width;
    const u = Math.round((event.clientX - box.left) * ratio), v = Math.round((event.clientY - box.top) * ratio);
    const i = this.ids[v * this.canvas.width + u];
    return i >= 0 ? this.points.label[i] : 0;
  }
}
