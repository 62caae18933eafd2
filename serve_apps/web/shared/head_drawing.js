// The listener's head in a pose {time_s, roll, pitch, yaw}, in degrees; `headPainter` is of head.js.

export const ANGLES = ["roll", "pitch", "yaw"];
export const REST = { time_s: 0, roll: 0, pitch: 0, yaw: 0 };
const LARGEST = 420; // pixels a side

// `tint` is the colour of its hair, as #rrggbb.
export function drawHead(canvas, shape, frame, tint, gain = 1) {
  const size = Math.round(Math.min(LARGEST, Math.max(96, canvas.clientWidth * Math.min(devicePixelRatio, 1.5))));
  if (!canvas.painter || canvas.width !== size) {
    canvas.width = canvas.height = size;
    canvas.painter = headPainter(shape, size);
  }
  const colour = [1, 3, 5].map((i) => parseInt(tint.slice(i, i + 2), 16));
  const pixels = canvas.painter(ANGLES.map((name) => gain * frame[name]), colour);
  canvas.getContext("2d").putImageData(new ImageData(pixels, size, size), 0, 0);
}

// The next pose to draw: poses come some at a time, and the head glides from one to the next.
export function glided(shown, wanted) {
  const near = Math.abs(wanted.time_s - shown.time_s) < 1 ? 0.5 : 1;
  return Object.fromEntries(Object.keys(REST).map((name) => [name, shown[name] + near * (wanted[name] - shown[name])]));
}
