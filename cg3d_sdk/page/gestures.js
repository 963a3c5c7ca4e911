"use strict";
// Mouse, fingers and keys on a canvas, as calls of turn, scale, move and reset. What is not given
// is not listened for. Angles are radians; move is told shares of the canvas's height.
function listenToGestures(canvas, { turn, scale, move, reset, wheel }) {
  const pointers = new Map();
  const middle = () => {
    const all = [...pointers.values()];
    const mean = (axis) => all.reduce((sum, p) => sum + p[axis], 0) / all.length;
    return [mean("clientX"), mean("clientY")];
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button > (move ? 2 : 0)) return;
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, event);
    turn(0, 0);
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const height = Math.max(canvas.clientHeight, 1);
    if (pointers.size === 1) {
      const [x, y] = [event.clientX - before.clientX, event.clientY - before.clientY];
      // The second button and the shift key move what the first one turns.
      if (move && (event.buttons & 6 || event.shiftKey)) move(x / height, y / height);
      else turn(x * 0.01, y * 0.01);
      pointers.set(event.pointerId, event);
    } else {
      const other = [...pointers.values()].find((p) => p.pointerId !== event.pointerId);
      const span = (p) => Math.hypot(p.clientX - other.clientX, p.clientY - other.clientY);
      scale(span(event) / Math.max(span(before), 1));
      const [x, y] = middle();
      pointers.set(event.pointerId, event);
      if (move) move((middle()[0] - x) / height, (middle()[1] - y) / height);
    }
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
    canvas.addEventListener(end, (event) => pointers.delete(event.pointerId));
  }
  if (move) canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener(
    "wheel",
    (event) => {
      if (!wheel()) return;
      event.preventDefault();
      scale(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)));
    },
    { passive: false },
  );
  canvas.addEventListener("dblclick", reset);
  canvas.addEventListener("keydown", (event) => {
    const step = (x, y) => (move && event.shiftKey ? move(-x / 2, -y / 2) : turn(x, y));
    const actions = {
      ArrowLeft: () => step(-0.15, 0),
      ArrowRight: () => step(0.15, 0),
      ArrowUp: () => step(0, -0.15),
      ArrowDown: () => step(0, 0.15),
      "+": () => scale(1.15),
      "=": () => scale(1.15),
      "-": () => scale(1 / 1.15),
      0: reset,
    };
    if (event.ctrlKey || event.metaKey || event.altKey || !actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
  });
}
