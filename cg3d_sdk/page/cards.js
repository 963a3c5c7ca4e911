// Every canvas[data-points] is a cloud to turn.
(() => {
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let turning = !still.matches;

  function decode(text) {
    const bytes = bytesOf(text);
    const points = new Float32Array(bytes.length / 2);
    for (let i = 0; i < points.length; i++) {
      points[i] = (bytes[2 * i] | (bytes[2 * i + 1] << 8)) / 32767.5 - 1;
    }
    return points;
  }

  class Cloud {
    constructor(canvas) {
      this.canvas = canvas;
      this.picture = new SoftwareCloud(canvas);
      this.points = decode(canvas.dataset.points);
      // Fewer points are drawn larger.
      this.radius = 0.0254 * Math.sqrt(4096 / Math.max(this.points.length / 3, 2000));
      this.paint();
      this.visible = false;
      this.reset();
      this.touched = false;
      listenToGestures(canvas, {
        turn: (yaw, pitch) => this.turn(yaw, pitch),
        scale: (factor) => this.scale(factor),
        reset: () => this.reset(),
        // The page must stay scrollable, so the wheel zooms only a cloud that was clicked.
        wheel: () => document.activeElement === canvas,
      });
    }

    paint() {
      let low = Infinity;
      let high = -Infinity;
      for (let i = 1; i < this.points.length; i += 3) {
        low = Math.min(low, this.points[i]);
        high = Math.max(high, this.points[i]);
      }
      this.colours = colouredByHeight(this.points, low, high);
      this.stale = true;
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
      this.picture.resize(width, height);
      this.stale = true;
    }

    draw() {
      if (!this.picture.image) return;
      this.stale = false;
      const { yaw, pitch, zoom, canvas } = this;
      const focus = Math.min(canvas.width, canvas.height) * 1.34 * zoom;
      const camera = { yaw, pitch, focus, target: [0, 0, 0], distance: 3.1, near: 0.2, cut: 2 };
      // Coming closer, gaps between points may open a little.
      this.picture.draw(this.points, this.colours, camera, this.radius / Math.sqrt(Math.max(zoom, 1)));
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
  DARK_MODE.addEventListener("change", () => {
    for (const cloud of clouds) cloud.paint();
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
