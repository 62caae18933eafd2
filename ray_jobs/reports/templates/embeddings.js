const data = JSON.parse(document.getElementById("data").textContent);
const canvas = document.getElementById("canvas"), tip = document.getElementById("tip"), controls = document.getElementById("controls");
const pen = canvas.getContext("2d"), dark = matchMedia("(prefers-color-scheme: dark)");
let map = controls.querySelector("[data-map]").dataset.map, scale = 1, middle = [0.5, 0.5], hovered = -1, grip = null;

const shapes = {
  circle: (p, x, y, r) => p.arc(x, y, r, 0, 7),
  square: (p, x, y, r) => p.rect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8),
  triangle: (p, x, y, r) => polygon(p, x, y, [[0, -1.25], [1.1, 0.8], [-1.1, 0.8]], r),
  diamond: (p, x, y, r) => polygon(p, x, y, [[0, -1.3], [1.1, 0], [0, 1.3], [-1.1, 0]], r),
  cross: (p, x, y, r) => polygon(p, x, y, [[-1.1, -0.4], [-0.4, -0.4], [-0.4, -1.1], [0.4, -1.1], [0.4, -0.4], [1.1, -0.4], [1.1, 0.4], [0.4, 0.4], [0.4, 1.1], [-0.4, 1.1], [-0.4, 0.4], [-1.1, 0.4]], r),
  star: (p, x, y, r) => polygon(p, x, y, Array.from({ length: 10 }, (_, k) => [Math.sin(k * Math.PI / 5) * (k % 2 ? 0.55 : 1.35), -Math.cos(k * Math.PI / 5) * (k % 2 ? 0.55 : 1.35)]), r),
};
function polygon(p, x, y, corners, r) {
  corners.forEach(([dx, dy], k) => p[k ? "lineTo" : "moveTo"](x + dx * r, y + dy * r));
  p.closePath();
}
const ink = () => getComputedStyle(document.documentElement).getPropertyValue("--ink");
const card = () => getComputedStyle(document.documentElement).getPropertyValue("--card");
const chosen = (kind, value) => controls.querySelector(`[data-${kind}="${value}"]`)?.checked ?? true;
const size = () => [canvas.clientWidth, canvas.clientHeight];
const tall = Object.fromEntries(Object.entries(data.maps).map(([name, points]) => {
  const heights = points.map((point) => point[1]);
  return [name, Math.max(Math.max(...heights) - Math.min(...heights), 0.1)];
}));
function unit() {
  const [w, h] = size();
  return Math.min(w, h / tall[map]) * 0.92 * scale;
}
function place([x, y]) {
  const [w, h] = size();
  return [w / 2 + (x - middle[0]) * unit(), h / 2 - (y - middle[1]) * unit()];
}
const shown = (i) => chosen("emotion", data.target[i]) && chosen("corpus", data.corpus[i]) && chosen("right", data.target[i] === data.prediction[i] ? 1 : 0);

function draw() {
  const [w, h] = size(), dots = devicePixelRatio || 1;
  canvas.width = w * dots; canvas.height = h * dots;
  pen.setTransform(dots, 0, 0, dots, 0, 0);
  pen.clearRect(0, 0, w, h);
  const radius = Math.max(2.6, Math.min(6, 90 / Math.sqrt(data.ids.length))) * Math.min(2, Math.sqrt(scale));
  data.maps[map].forEach((point, i) => {
    if (!shown(i)) return;
    const [x, y] = place(point), colour = data.colours[data.target[i]], right = data.target[i] === data.prediction[i];
    pen.beginPath();
    shapes[data.markers[data.corpus[i]]](pen, x, y, i === hovered ? radius * 1.7 : radius);
    pen.globalAlpha = 0.85;
    pen.fillStyle = right ? colour : "transparent"; pen.fill();
    pen.globalAlpha = 1;
    pen.lineWidth = i === hovered ? 2 : right ? 0.6 : 1.5;
    pen.strokeStyle = i === hovered ? ink() : right ? "rgb(127 127 127 / .7)" : colour; pen.stroke();
  });
  pen.font = "650 15px system-ui, sans-serif"; pen.textAlign = "center"; pen.textBaseline = "middle"; pen.lineJoin = "round";
  for (const [c, centre] of Object.entries(data.centres[map])) {
    if (!chosen("emotion", c)) continue;
    const [x, y] = place(centre);
    pen.lineWidth = 4; pen.strokeStyle = card(); pen.strokeText(data.labels[c], x, y);
    pen.fillStyle = ink(); pen.fillText(data.labels[c], x, y);
  }
}
function hover(event) {
  const box = canvas.getBoundingClientRect(), mx = event.clientX - box.left, my = event.clientY - box.top;
  let best = -1, least = 12 * 12;
  data.maps[map].forEach((point, i) => {
    if (!shown(i)) return;
    const [x, y] = place(point), d = (x - mx) ** 2 + (y - my) ** 2;
    if (d < least) { least = d; best = i; }
  });
  if (best !== hovered) { hovered = best; draw(); }
  tip.hidden = best < 0;
  if (best < 0) return;
  const truth = data.labels[data.target[best]], heard = data.labels[data.prediction[best]];
  tip.textContent = `${data.ids[best]} · ${data.corpora[data.corpus[best]]} · ${truth}` + (truth === heard ? ", recognised" : `, heard as ${heard}`);
  tip.style.left = `${Math.min(mx + 14, Math.max(0, box.width - tip.offsetWidth - 8))}px`;
  tip.style.top = `${my + 18 + tip.offsetHeight > box.height ? my - tip.offsetHeight - 10 : my + 18}px`;
}
function zoom(factor, [fx, fy] = [0.5, 0.5]) {
  const [w, h] = size(), next = Math.max(0.5, Math.min(40, scale * factor)), old = unit();
  const dx = (fx - 0.5) * w, dy = (0.5 - fy) * h;
  scale = next;
  middle = [middle[0] + dx / old - dx / unit(), middle[1] + dy / old - dy / unit()];
  draw();
}
function whole() { scale = 1; middle = [0.5, 0.5]; draw(); }
canvas.addEventListener("pointermove", (event) => {
  if (!grip) return hover(event);
  middle = [grip.middle[0] - (event.clientX - grip.x) / unit(), grip.middle[1] + (event.clientY - grip.y) / unit()];
  draw();
});
canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); grip = { x: event.clientX, y: event.clientY, middle }; tip.hidden = true; });
canvas.addEventListener("pointerup", () => { grip = null; });
canvas.addEventListener("pointerleave", () => { hovered = -1; tip.hidden = true; draw(); });
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  const box = canvas.getBoundingClientRect();
  zoom(Math.exp(-event.deltaY * 0.0015), [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height]);
}, { passive: false });
canvas.addEventListener("keydown", (event) => {
  const step = 0.08 / scale, moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
  if (event.key === "+" || event.key === "=") zoom(1.3);
  else if (event.key === "-") zoom(1 / 1.3);
  else if (event.key === "0") whole();
  else if (moves[event.key]) { middle = [middle[0] + moves[event.key][0], middle[1] + moves[event.key][1]]; draw(); }
  else return;
  event.preventDefault();
});
controls.addEventListener("change", draw);
controls.addEventListener("click", (event) => {
  if (event.target.id === "all") { controls.querySelectorAll("input").forEach((box) => { box.checked = true; }); whole(); }
  if (!event.target.dataset.map) return;
  map = event.target.dataset.map;
  controls.querySelectorAll("[data-map]").forEach((button) => button.setAttribute("aria-pressed", button === event.target));
  whole();
});
function legend() {
  document.querySelectorAll(".mark").forEach((mark) => {
    const p = mark.getContext("2d");
    p.clearRect(0, 0, 32, 32); p.beginPath(); shapes[mark.dataset.mark](p, 16, 16, 10);
    p.lineWidth = 3; p.strokeStyle = ink(); p.stroke();
  });
}
dark.addEventListener("change", () => { legend(); draw(); });
addEventListener("resize", draw);
legend(); draw();
