"use strict";
// Draws every canvas[data-points] as a cloud to turn, in plain 2D: discs into a depth buffer, then
// shading by depth (eye-dome lighting), so that it works without a GPU and on any number of cards.
(() => {
  const DISTANCE = 3.1; // of the eye from the middle of the unit sphere
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const LIGHT = [[49, 46, 129], [37, 99, 235], [13, 148, 136], [101, 163, 13]];
  const DARK = [[129, 140, 248], [56, 189, 248], [45, 212, 191], [190, 242, 100]];

  function palette() {
    const stops = dark.matches ? DARK : LIGHT;
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

  function decode(text) {
    const bytes = atob(text);
    const points = new Float32Array(bytes.length / 2);
    for (let i = 0; i < points.length; i++) {
      const value = bytes.charCodeAt(2 * i) | (bytes.charCodeAt(2 * i + 1) << 8);
      points[i] = value / 32767.5 - 1;
    }
    return points;
  }

  let colours = palette();
  let turning = !still.matches;

  class Cloud {
    constructor(canvas) {
      this.canvas = canvas;
      this.context = canvas.getContext("2d");
      this.points = decode(canvas.dataset.points);
      this.tones = this.heights();
      this.visible = false;
      this.touched = false;
      this.pointers = new Map();
      this.reset();
      this.listen();
    }

    heights() {
      const { points } = this;
      let low = Infinity;
      let high = -Infinity;
      for (let i = 1; i < points.length; i += 3) {
        low = Math.min(low, points[i]);
        high = Math.max(high, points[i]);
      }
      const tones = new Uint8Array(points.length / 3);
      for (let i = 0; i < tones.length; i++) {
        tones[i] = (255 * (points[3 * i + 1] - low)) / Math.max(high - low, 1e-6);
      }
      return tones;
    }

    reset() {
      this.yaw = -0.6;
      this.pitch = 0.32;
      this.zoom = 1;
      this.stale = true;
    }

    turn(yaw, pitch) {
      this.yaw += yaw;
      this.pitch = Math.max(-1.5, Math.min(1.5, this.pitch + pitch));
      this.touched = true;
      this.stale = true;
    }

    scale(factor) {
      this.zoom = Math.max(0.5, Math.min(4, this.zoom * factor));
      this.touched = true;
      this.stale = true;
    }

    resize() {
      const { canvas } = this;
      const density = Math.min(window.devicePixelRatio || 1, 2);
      const width = Math.round(canvas.clientWidth * density);
      const height = Math.round(canvas.clientHeight * density);
      if (!width || !height || (width === canvas.width && height === canvas.height)) return;
      canvas.width = width;
      canvas.height = height;
      this.image = this.context.createImageData(width, height);
      this.pixels = new Uint32Array(this.image.data.buffer);
      this.depth = new Float32Array(width * height);
      this.tone = new Uint8Array(width * height);
      this.stale = true;
    }

    draw() {
      if (!this.image) return;
      this.stale = false;
      this.splat();
      this.shade();
      this.context.putImageData(this.image, 0, 0);
    }

    splat() {
      const { points, tones, depth, tone } = this;
      const { width, height } = this.canvas;
      const size = Math.min(width, height);
      const focus = size * 1.34 * this.zoom;
      // Fewer points are drawn larger; coming closer, gaps between them may open a little.
      const spacing = Math.sqrt(4096 / Math.max(tones.length, 2000));
      const dot = (0.0082 * spacing * focus) / Math.sqrt(Math.max(this.zoom, 1));
      const cy = Math.cos(this.yaw);
      const sy = Math.sin(this.yaw);
      const cp = Math.cos(this.pitch);
      const sp = Math.sin(this.pitch);
      depth.fill(Infinity);
      for (let i = 0; i < tones.length; i++) {
        const px = points[3 * i];
        const py = points[3 * i + 1];
        const pz = points[3 * i + 2];
        const rx = px * cy + pz * sy;
        const rz = pz * cy - px * sy;
        const z = DISTANCE - (rz * cp + py * sp);
        if (z < 0.2) continue;
        const x = width / 2 + (rx * focus) / z;
        const y = height / 2 - ((py * cp - rz * sp) * focus) / z;
        const r = Math.max(1, (dot * DISTANCE) / z);
        const y0 = Math.max(0, Math.ceil(y - r));
        const y1 = Math.min(height - 1, Math.floor(y + r));
        for (let v = y0; v <= y1; v++) {
          const half = Math.sqrt(Math.max(0, r * r - (v - y) * (v - y)));
          const x0 = Math.max(0, Math.ceil(x - half));
          const x1 = Math.min(width - 1, Math.floor(x + half));
          for (let at = v * width + x0; at <= v * width + x1; at++) {
            if (z < depth[at]) {
              depth[at] = z;
              tone[at] = tones[i];
            }
          }
        }
      }
    }

    // Eye-dome lighting: a pixel is darker the further it lies behind its neighbours.
    shade() {
      const { depth, tone, pixels } = this;
      const { width, height } = this.canvas;
      const reach = Math.max(1, Math.round(width / 420));
      const steps = [-reach, reach, -reach * width, reach * width];
      const strength = 5;
      const grain = 0.012; // discs of one surface lie this far apart; that is no edge
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
              const gap = z - depth[at + step] - grain;
              if (gap > 0) behind += Math.min(gap, 0.1);
            }
          }
          const far = 1 - 0.3 * Math.max(0, Math.min(1, (z - DISTANCE + 0.8) / 1.6));
          const light = Math.exp(-strength * behind) * far;
          const k = 3 * tone[at];
          pixels[at] =
            0xff000000 |
            ((colours[k + 2] * light) << 16) |
            ((colours[k + 1] * light) << 8) |
            (colours[k] * light);
        }
      }
    }

    listen() {
      const { canvas, pointers } = this;
      canvas.addEventListener("pointerdown", (event) => {
        if (event.button !== 0) return;
        canvas.setPointerCapture(event.pointerId);
        pointers.set(event.pointerId, event);
        this.touched = true;
      });
      canvas.addEventListener("pointermove", (event) => {
        const before = pointers.get(event.pointerId);
        if (!before) return;
        if (pointers.size === 1) {
          this.turn((event.clientX - before.clientX) * 0.01, (event.clientY - before.clientY) * 0.01);
        } else {
          const other = [...pointers.values()].find((p) => p.pointerId !== event.pointerId);
          const span = (p) => Math.hypot(p.clientX - other.clientX, p.clientY - other.clientY);
          this.scale(span(event) / Math.max(span(before), 1));
        }
        pointers.set(event.pointerId, event);
      });
      for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
        canvas.addEventListener(end, (event) => pointers.delete(event.pointerId));
      }
      // The page must stay scrollable, so the wheel zooms only a cloud that was clicked.
      canvas.addEventListener(
        "wheel",
        (event) => {
          if (document.activeElement !== canvas) return;
          event.preventDefault();
          this.scale(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)));
        },
        { passive: false },
      );
      canvas.addEventListener("dblclick", () => this.reset());
      canvas.addEventListener("keydown", (event) => {
        const actions = {
          ArrowLeft: () => this.turn(-0.15, 0),
          ArrowRight: () => this.turn(0.15, 0),
          ArrowUp: () => this.turn(0, -0.15),
          ArrowDown: () => this.turn(0, 0.15),
          "+": () => this.scale(1.15),
          "=": () => this.scale(1.15),
          "-": () => this.scale(1 / 1.15),
          0: () => this.reset(),
        };
        if (event.ctrlKey || event.metaKey || event.altKey || !actions[event.key]) return;
        event.preventDefault();
        actions[event.key]();
      });
    }
  }

  const clouds = [...document.querySelectorAll("canvas[data-points]")].map((c) => new Cloud(c));
  const byCanvas = new Map(clouds.map((cloud) => [cloud.canvas, cloud]));

  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) byCanvas.get(entry.target).visible = entry.isIntersecting;
  });
  const sized = new ResizeObserver((entries) => {
    for (const entry of entries) byCanvas.get(entry.target).resize();
  });
  for (const cloud of clouds) {
    seen.observe(cloud.canvas);
    sized.observe(cloud.canvas);
    cloud.resize();
    cloud.draw();
  }

  const button = document.getElementById("turning");
  function showTurning() {
    button.textContent = turning ? "Stop turning" : "Turn all";
  }
  button.hidden = false;
  button.addEventListener("click", () => {
    turning = !turning;
    if (turning) for (const cloud of clouds) cloud.touched = false;
    showTurning();
  });
  showTurning();

  still.addEventListener("change", () => {
    turning = !still.matches;
    showTurning();
  });
  dark.addEventListener("change", () => {
    colours = palette();
    for (const cloud of clouds) cloud.stale = true;
  });

  let last = 0;
  function frame(now) {
    const passed = Math.min(now - last, 100);
    // Thirty pictures a second are smooth enough, and spare a laptop's battery.
    const due = passed > 30;
    for (const cloud of clouds) {
      if (!cloud.visible) continue;
      if (due && turning && !cloud.touched) {
        cloud.yaw += passed * 0.0005;
        cloud.stale = true;
      }
      if (cloud.stale) cloud.draw();
    }
    if (due) last = now;
    requestAnimationFrame(frame);
  }
  requestAnimationFrame(frame);
})();
