// Draws points in plain 2D: discs into a depth buffer, then shading by depth, so that it works
// without a GPU and on any number of canvases.
//
// A camera looks at `target` from `distance`, turned by `yaw` and `pitch`; `focus` is its focal
// length in pixels, `near` the distance from which on it sees, `cut` the height (y) up to which.
class SoftwareCloud {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
  }

  resize(width, height) {
    this.canvas.width = width;
    this.canvas.height = height;
    this.image = this.context.createImageData(width, height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.depth = new Float32Array(width * height);
    this.shown = new Uint32Array(width * height);
  }

  // points: x, y, z of each; colours: red, green, blue of each; radius: of a disc, as the points.
  draw(points, colours, camera, radius, step = 1) {
    this.splat(points, colours, camera, radius, step);
    this.shade(camera.distance);
    this.context.putImageData(this.image, 0, 0);
  }

  splat(points, colours, camera, radius, step) {
    const { depth, shown } = this;
    const { width, height } = this.canvas;
    const { target, distance, focus, near, cut } = camera;
    const cy = Math.cos(camera.yaw);
    const sy = Math.sin(camera.yaw);
    const cp = Math.cos(camera.pitch);
    const sp = Math.sin(camera.pitch);
    depth.fill(Infinity);
    for (let i = 0; i < points.length; i += 3 * step) {
      if (points[i + 1] > cut) continue;
      const px = points[i] - target[0];
      const py = points[i + 1] - target[1];
      const pz = points[i + 2] - target[2];
      const rx = px * cy + pz * sy;
      const rz = pz * cy - px * sy;
      const z = distance - (rz * cp + py * sp);
      if (z < near) continue;
      const x = width / 2 + (rx * focus) / z;
      const y = height / 2 - ((py * cp - rz * sp) * focus) / z;
      const r = Math.max(1, Math.min(12, (radius * focus) / z));
      const y0 = Math.max(0, Math.ceil(y - r));
      const y1 = Math.min(height - 1, Math.floor(y + r));
      for (let v = y0; v <= y1; v++) {
        const half = Math.sqrt(Math.max(0, r * r - (v - y) * (v - y)));
        const x0 = Math.max(0, Math.ceil(x - half));
        const x1 = Math.min(width - 1, Math.floor(x + half));
        for (let at = v * width + x0; at <= v * width + x1; at++) {
          if (z < depth[at]) {
            depth[at] = z;
            shown[at] = i;
          }
        }
      }
    }
    this.colours = colours;
  }

  // Eye-dome lighting: a pixel is darker the further it lies behind its neighbours.
  shade(distance) {
    const { depth, shown, pixels, colours } = this;
    const { width, height } = this.canvas;
    const reach = Math.max(1, Math.round(width / 420));
    const steps = [-reach, reach, -reach * width, reach * width];
    pixels.fill(0);
    for (let v = 0; v < height; v++) {
      const inner = v >= reach && v < height - reach;
      for (let u = 0; u < width; u++) {
        const at = v * width + u;
        const z = depth[at];
        if (z === Infinity) continue;
        let behind = 0;
        if (inner && u >= reach && u < width - reach) {
          for (const step of steps) {
            // Discs of one surface lie a little apart; that is no edge.
            const gap = (z - depth[at + step]) / z - 0.004;
            if (gap > 0) behind += Math.min(gap, 0.032);
          }
        }
        const far = 1 - 0.3 * Math.max(0, Math.min(1, (z / distance - 0.74) / 0.52));
        const light = Math.exp(-15 * behind) * far;
        const k = shown[at];
        pixels[at] =
          0xff000000 |
          ((colours[k + 2] * light) << 16) |
          ((colours[k + 1] * light) << 8) |
          (colours[k] * light);
      }
    }
  }
}

// Bytes of base64 in the page.
function bytesOf(text) {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

const DARK_MODE = matchMedia("(prefers-color-scheme: dark)");

// Red, green, blue of each of 256 heights.
function heightColours() {
  const stops = DARK_MODE.matches
    ? [[129, 140, 248], [56, 189, 248], [45, 212, 191], [190, 242, 100]]
    : [[49, 46, 129], [37, 99, 235], [13, 148, 136], [101, 163, 13]];
  const colours = new Uint8Array(256 * 3);
  for (let i = 0; i < 256; i++) {
    const at = (i / 255) * (stops.length - 1);
    const k = Math.min(Math.floor(at), stops.length - 2);
    for (let c = 0; c < 3; c++) {
      colours[3 * i + c] = stops[k][c] + (stops[k + 1][c] - stops[k][c]) * (at - k);
    }
  }
  return colours;
}

// Red, green, blue of each point by its height (y) between two.
function colouredByHeight(points, low, high) {
  const palette = heightColours();
  const colours = new Uint8Array(points.length);
  for (let i = 0; i < points.length; i += 3) {
    const share = Math.min(1, Math.max(0, (points[i + 1] - low) / Math.max(high - low, 1e-6)));
    colours.set(palette.subarray(3 * Math.round(255 * share), 3 * Math.round(255 * share) + 3), i);
  }
  return colours;
}
