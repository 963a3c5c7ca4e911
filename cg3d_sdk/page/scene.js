// One scene to walk about, its answers coloured and boxed. Colours of answers come from the style.
(() => {
  const MOST_ANSWERS = 8;
  const holder = document.getElementById("scene");
  const overlay = document.getElementById("boxes");
  const pick = document.getElementById("question");
  const cut = document.getElementById("cut");
  const own = document.getElementById("own");
  const boxed = document.getElementById("boxed");
  const sections = [...document.querySelectorAll("section.answer")];

  const step = Number(holder.dataset.step);
  const low = holder.dataset.low.split(",").map(Number);
  const raw = new Uint16Array(bytesOf(holder.dataset.points).buffer);
  const count = raw.length / 3;
  const places = (() => {
    let points = null;
    return () => {
      if (!points) {
        points = new Float32Array(raw.length);
        for (let i = 0; i < raw.length; i++) points[i] = low[i % 3] + raw[i] * step;
      }
      return points;
    };
  })();
  const given = holder.dataset.colours ? bytesOf(holder.dataset.colours) : null;
  const floor = Number(cut.min);
  const size = Number(holder.dataset.size);
  const radius = Number(holder.dataset.radius);

  // Rows of an answer: gaps between them, seven bits a byte, the lowest first.
  function rowsOf(text) {
    const bytes = bytesOf(text);
    const rows = [];
    let row = -1;
    let gap = 0;
    let shift = 0;
    for (const byte of bytes) {
      gap += (byte & 127) * 2 ** shift;
      shift += 7;
      if (byte & 128) continue;
      row += gap;
      rows.push(row);
      gap = shift = 0;
    }
    return rows;
  }

  const answers = sections.map((section) =>
    [...section.querySelectorAll("li.region")].map((item) => ({
      item,
      rows: rowsOf(item.dataset.rows),
      box: item.dataset.box.split(",").map(Number),
    })),
  );

  let view;
  let chosen = 0;
  let stale = true;
  let moving = 0;
  let owners = new Uint8Array(count);
  let base;
  let looks;
  let canvas;
  let gpu;
  let software;

  function start() {
    if (canvas) canvas.remove();
    canvas = document.createElement("canvas");
    holder.prepend(canvas);
    gpu = software = null;
    try {
      gpu = new GpuCloud(canvas, raw, low, step);
    } catch {
      // A canvas that was asked for WebGL gives nothing else.
      canvas.replaceWith((canvas = document.createElement("canvas")));
      software = new SoftwareCloud(canvas);
    }
    holder.dataset.drawn = gpu ? "webgl" : "software";
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => {
      start();
      resize();
      paint();
    });
  }

  // "rgb(1, 2, 3)" as three numbers.
  const numbers = (colour) => colour.match(/\d+/g).slice(0, 3).map(Number);

  function paint() {
    base = given && own && own.checked ? given : colouredByHeight(places(), floor, Number(cut.max));
    const swatches = sections[chosen] ? [...sections[chosen].querySelectorAll(".swatch")] : [];
    const palette = new Float32Array(3 * MOST_ANSWERS);
    swatches.slice(0, MOST_ANSWERS).forEach((swatch, i) => {
      palette.set(numbers(getComputedStyle(swatch).backgroundColor).map((v) => v / 255), 3 * i);
    });
    const ground = numbers(getComputedStyle(holder).backgroundColor).map((v) => v / 255);
    looks = { palette, ground, fade: base === given ? 0.35 : 0.6 };
    if (gpu) {
      gpu.paint(base);
      gpu.mark(owners);
    } else {
      base = base.slice();
      for (let i = 0; i < base.length; i++) {
        const owner = owners[(i / 3) | 0];
        base[i] = owner
          ? 255 * palette[3 * (owner - 1) + (i % 3)]
          : base[i] * (1 - looks.fade) + 255 * ground[i % 3] * looks.fade;
      }
    }
    stale = true;
  }

  function choose(number) {
    chosen = Math.max(0, Math.min(sections.length - 1, number || 0));
    pick.value = String(chosen);
    owners = new Uint8Array(count);
    sections.forEach((section, i) => (section.hidden = i !== chosen));
    (answers[chosen] || []).forEach(({ rows }, i) => {
      for (const row of rows) if (owners[row] === 0) owners[row] = (i % MOST_ANSWERS) + 1;
    });
    paint();
  }

  const home = () => {
    view = { yaw: -0.6, pitch: 0.75, distance: size * 1.15, target: [0, floor * 0.5, 0] };
    stale = true;
  };

  function lookAt([x, y, z, length, width, height]) {
    view.target = [x, y, z];
    view.distance = Math.max(2.5 * Math.hypot(length, width, height), 1.5);
    view.pitch = Math.max(view.pitch, 0.9);
    stale = true;
  }

  function moveBy(x, y) {
    // Along the picture: to the right, and up.
    const [cy, sy] = [Math.cos(view.yaw), Math.sin(view.yaw)];
    const [cp, sp] = [Math.cos(view.pitch), Math.sin(view.pitch)];
    const [right, up] = [(-x * view.distance) / 1.2, (y * view.distance) / 1.2];
    view.target[0] += right * cy + up * sp * sy;
    view.target[1] += up * cp;
    view.target[2] += right * sy - up * sp * cy;
    moved();
  }

  function moved() {
    stale = true;
    moving = performance.now();
  }

  function camera() {
    return {
      ...view,
      focus: canvas.height * 1.2,
      // What stands between the eye and what it looks at is cut away.
      near: view.distance * 0.55,
      far: view.distance + 2 * size,
      cut: Number(cut.value),
    };
  }

  function resize() {
    const density = Math.min(window.devicePixelRatio || 1, 2);
    const width = Math.round(holder.clientWidth * density);
    const height = Math.round(holder.clientHeight * density);
    if (!width || !height) return;
    (gpu || software).resize(width, height);
    overlay.width = width;
    overlay.height = height;
    stale = true;
  }

  function draw() {
    stale = false;
    const seen = camera();
    if (gpu) gpu.draw(seen, radius, looks);
    else {
      // While it moves, every so manieth point; they lie in no order.
      const few = performance.now() - moving < 200 ? Math.ceil(count / 250000) : 1;
      software.draw(places(), base, seen, radius * Math.sqrt(few), few);
      stale = few > 1;
    }
    drawBoxes(seen);
    holder.dataset.frames = String(Number(holder.dataset.frames || 0) + 1);
  }

  function drawBoxes(seen) {
    const ink = overlay.getContext("2d");
    ink.clearRect(0, 0, overlay.width, overlay.height);
    if (!boxed.checked) return;
    const density = overlay.height / Math.max(holder.clientHeight, 1);
    const [cy, sy] = [Math.cos(seen.yaw), Math.sin(seen.yaw)];
    const [cp, sp] = [Math.cos(seen.pitch), Math.sin(seen.pitch)];
    const onScreen = (point) => {
      const [x, y, z] = point.map((value, k) => value - seen.target[k]);
      const rx = x * cy + z * sy;
      const rz = z * cy - x * sy;
      const away = seen.distance - (rz * cp + y * sp);
      if (away < seen.near) return null;
      const scale = seen.focus / away;
      return [overlay.width / 2 + rx * scale, overlay.height / 2 - (y * cp - rz * sp) * scale];
    };
    (answers[chosen] || []).forEach(({ item, box }, number) => {
      const [x, y, z, length, width, height, turn] = box;
      const corner = (a, b, c) => {
        const [along, across] = [(a * length) / 2, (b * width) / 2];
        return onScreen([
          x + along * Math.cos(turn) - across * Math.sin(turn),
          y + (c * height) / 2,
          z - along * Math.sin(turn) - across * Math.cos(turn),
        ]);
      };
      const around = [[-1, -1], [1, -1], [1, 1], [-1, 1]];
      const lower = around.map(([a, b]) => corner(a, b, -1));
      const upper = around.map(([a, b]) => corner(a, b, 1));
      ink.strokeStyle = ink.fillStyle = getComputedStyle(item.querySelector(".swatch")).backgroundColor;
      ink.lineWidth = 2 * density;
      ink.beginPath();
      for (let i = 0; i < 4; i++) {
        const next = (i + 1) % 4;
        for (const [p, q] of [[lower[i], lower[next]], [upper[i], upper[next]], [lower[i], upper[i]]]) {
          if (p && q) {
            ink.moveTo(...p);
            ink.lineTo(...q);
          }
        }
      }
      ink.stroke();
      const top = onScreen([x, y + height / 2, z]);
      if (!top) return;
      ink.beginPath();
      ink.arc(top[0], top[1], 11 * density, 0, 7);
      ink.fill();
      ink.fillStyle = "#fff";
      ink.font = `600 ${13 * density}px system-ui, sans-serif`;
      ink.textAlign = "center";
      ink.textBaseline = "middle";
      ink.fillText(String(number + 1), top[0], top[1]);
    });
  }

  home();
  start();
  resize();
  choose(Number(location.hash.slice(1)) - 1);
  document.body.classList.add("alive");

  listenToGestures(holder, {
    turn: (yaw, pitch) => {
      view.yaw += yaw;
      view.pitch = Math.max(-1.5, Math.min(1.55, view.pitch + pitch));
      moved();
    },
    scale: (factor) => {
      view.distance = Math.max(0.005 * size, Math.min(3 * size, view.distance / factor));
      moved();
    },
    move: moveBy,
    reset: home,
    wheel: () => true,
  });
  pick.addEventListener("change", () => choose(Number(pick.value)));
  cut.addEventListener("input", moved);
  boxed.addEventListener("change", () => (stale = true));
  if (own) own.addEventListener("change", paint);
  document.getElementById("home").addEventListener("click", home);
  answers.flat().forEach(({ item, box }) =>
    item.querySelector("button").addEventListener("click", () => lookAt(box)),
  );
  window.addEventListener("hashchange", () => choose(Number(location.hash.slice(1)) - 1));
  DARK_MODE.addEventListener("change", paint);
  new ResizeObserver(resize).observe(holder);

  function frame() {
    if (stale) draw();
    requestAnimationFrame(frame);
  }
  requestAnimationFrame(frame);
})();
