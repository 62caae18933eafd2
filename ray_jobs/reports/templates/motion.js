const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const under = $("under"), over = $("over"), tip = $("tip"), sound = $("sound");
const { motions, rate_hz: rate, duration_s: duration } = data;
const GUTTER = 46, MARGIN = 10, AXIS = 24;
// Drawn dots to a dot of the screen: of a head that moves, and of one at rest.
const FINE = 2;
let quality = devicePixelRatio < 1.5 ? 1.5 : 1, cost = 0, rest = null;
let time = 0, playing = false, from = null, hovered = null, start = 0, centred = false, bounds = null, layout = null;

const heads = [...document.querySelectorAll(".head")].map((section) => ({
  section, box: section.querySelector("input"), canvas: section.querySelector("canvas"), numbers: section.querySelectorAll("dd"), painter: null, size: 0,
}));
const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const shown = () => motions.map((_, m) => m).filter((m) => heads[m].box.checked);
const wrapped = (angle) => ((angle + 180) % 360 + 360) % 360 - 180;
const signed = (angle) => `${Math.abs(angle) < 0.05 ? "" : angle < 0 ? "−" : "+"}${Math.abs(angle).toFixed(1)}°`;
const value = (m, a, k) => { const angle = motions[m].degrees[a][k]; return centred ? wrapped(angle - motions[m].middle[a]) : angle; };

// Linear between the frames, the short way round; held before the first and after the last. Frame k belongs to (k + 1) / rate.
function at(m, a, seconds) {
  const last = motions[m].degrees[a].length - 1, k = Math.min(last, Math.max(0, seconds * rate - 1)), i = Math.floor(k);
  const here = value(m, a, i);
  return k > i ? here + wrapped(value(m, a, i + 1) - here) * (k - i) : here;
}

// ---- heads
function drawHeads(dense = quality) {
  const gain = Number($("gain").value), began = performance.now();
  for (const m of shown()) {
    const head = heads[m], pose = data.rotations.map((_, a) => at(m, a, time));
    pose.forEach((angle, a) => { head.numbers[a].textContent = signed(angle); });
    const middle = motions[m].middle.map((angle) => (centred ? 0 : angle));
    const size = Math.round(Math.min(600, Math.max(64, head.canvas.clientWidth * devicePixelRatio * dense)));
    if (head.size !== size) { head.size = head.canvas.width = head.canvas.height = size; head.painter = headPainter(data.head, size); }
    const pixels = head.painter(pose.map((angle, a) => middle[a] + gain * wrapped(angle - middle[a])), tint(m));
    head.canvas.getContext("2d").putImageData(new ImageData(pixels, size, size), 0, 0);
  }
  clearTimeout(rest);
  if (!playing) { rest = dense === FINE ? null : setTimeout(drawHeads, 150, FINE); return; }
  // Rather a coarser head than one that limps behind the sound.
  cost = 0.8 * cost + 0.2 * (performance.now() - began);
  if (cost > 22 && quality > 0.6) { quality *= 0.85; cost = 0; }
}
function tint(m) { const hex = style(`--motion-${m}`); return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)); }

// ---- strips: loudness and the three angles, one below the other on one axis of time
function strips() {
  const narrow = under.clientWidth < 640, rows = [];
  if (data.peaks) rows.push({ kind: "sound", height: 46 });
  data.rotations.forEach((_, a) => rows.push({ kind: "angle", a, height: narrow ? 96 : 112 }));
  let top = 4;
  for (const row of rows) { row.top = top; top += row.height + 8; }
  return { rows, height: top + AXIS };
}
const span = () => Number($("span").value) || duration;
const wide = () => under.clientWidth - GUTTER - MARGIN;
const xOf = (seconds) => GUTTER + (seconds - start) / span() * wide();
const secondsAt = (x) => Math.min(duration, Math.max(0, start + (x - GUTTER) / wide() * span()));

// Of all that is shown, whichever window of it is open.
function range(a) {
  let low = Infinity, high = -Infinity;
  for (const m of shown()) for (let k = 0; k < motions[m].degrees[a].length; k++) { const v = value(m, a, k); low = Math.min(low, v); high = Math.max(high, v); }
  if (low > high) return [-5, 5];
  const room = Math.max(0, 4 - (high - low)) / 2 + 0.08 * (high - low);
  return [low - room, high + room];
}
function nice(extent, count) {
  const rough = extent / count, base = 10 ** Math.floor(Math.log10(rough));
  return base * [1, 2, 5, 10].find((step) => base * step >= rough);
}
function fit(canvas, width, height) {
  const dots = devicePixelRatio || 1;
  canvas.width = Math.round(width * dots); canvas.height = Math.round(height * dots);
  const pen = canvas.getContext("2d");
  pen.setTransform(dots, 0, 0, dots, 0, 0);
  return pen;
}

function drawStrips() {
  layout = strips();
  bounds ??= data.rotations.map((_, a) => range(a));
  $("strips").style.height = `${layout.height}px`;
  const width = under.clientWidth, pen = fit(under, width, layout.height);
  fit(over, width, layout.height);
  pen.font = "12px system-ui, sans-serif";
  pen.lineJoin = "round";
  for (const row of layout.rows) {
    row.bounds = row.kind === "angle" ? bounds[row.a] : [0, 1];
    // The caption has the top to itself.
    row.y = (v) => row.top + row.height - (row.height - (row.kind === "angle" ? 22 : 0)) * (v - row.bounds[0]) / (row.bounds[1] - row.bounds[0]);
    ({ sound: drawSound, angle: drawAngle })[row.kind](pen, row);
  }
  drawSeconds(pen);
  drawOver();
}
function clipped(pen, row, draw) {
  pen.save();
  pen.beginPath(); pen.rect(GUTTER, row.top, wide(), row.height); pen.clip();
  draw();
  pen.restore();
}
function caption(pen, row, name, rest) {
  pen.textAlign = "left"; pen.textBaseline = "top"; pen.lineWidth = 4; pen.strokeStyle = style("--card");
  pen.font = "650 12.5px system-ui, sans-serif";
  const after = GUTTER + 14 + pen.measureText(name).width;
  pen.strokeText(name, GUTTER + 7, row.top + 5); pen.fillStyle = style("--ink"); pen.fillText(name, GUTTER + 7, row.top + 5);
  pen.font = "12px system-ui, sans-serif";
  pen.strokeText(rest, after, row.top + 5.5); pen.fillStyle = style("--soft"); pen.fillText(rest, after, row.top + 5.5);
}
function frame(pen, row) {
  pen.strokeStyle = style("--line"); pen.lineWidth = 1;
  pen.strokeRect(GUTTER + 0.5, row.top + 0.5, wide() - 1, row.height - 1);
}
function drawSound(pen, row) {
  const { values, rate_hz: hz } = data.peaks, columns = Math.floor(wide() / 3);
  pen.fillStyle = style("--soft"); pen.globalAlpha = 0.75;
  for (let c = 0; c < columns; c++) {
    const a = Math.floor((start + c / columns * span()) * hz), b = Math.max(a + 1, Math.floor((start + (c + 1) / columns * span()) * hz));
    let peak = 0;
    for (let i = a; i < Math.min(b, values.length); i++) peak = Math.max(peak, values[i]);
    const tall = Math.max(1, peak * (row.height - 6));
    pen.fillRect(GUTTER + c * 3, row.top + (row.height - tall) / 2, 2, tall);
  }
  pen.globalAlpha = 1; pen.textAlign = "right"; pen.textBaseline = "middle";
  pen.fillText("voice", GUTTER - 7, row.top + row.height / 2);
}
function drawAngle(pen, row) {
  const [low, high] = row.bounds, step = nice(high - low, 4);
  frame(pen, row);
  pen.textAlign = "right"; pen.textBaseline = "middle"; pen.fillStyle = style("--soft");
  for (let v = Math.ceil(low / step) * step; row.y(v) > row.top + 5; v += step) {
    const y = Math.round(row.y(v)) + 0.5, zero = Math.abs(v) < step / 1e3;
    pen.globalAlpha = zero ? 1 : 0.6; pen.strokeStyle = style(zero ? "--soft" : "--line"); pen.lineWidth = zero ? 0.7 : 1;
    pen.beginPath(); pen.moveTo(GUTTER, y); pen.lineTo(GUTTER + wide(), y); pen.stroke(); pen.globalAlpha = 1;
    if (y < row.top + row.height - 5) pen.fillText(`${zero ? 0 : v.toFixed(step < 1 ? 1 : 0).replace("-", "−")}°`, GUTTER - 7, y);
  }
  clipped(pen, row, () => {
    // The reference is drawn last, over the others.
    for (const m of shown().reverse()) {
      const count = motions[m].degrees[row.a].length, first = Math.max(0, Math.floor(start * rate) - 2), last = Math.min(count - 1, Math.ceil((start + span()) * rate));
      pen.beginPath(); pen.strokeStyle = style(`--motion-${m}`); pen.lineWidth = 1.7;
      for (let k = first, before = null; k <= last; k++) {
        const v = value(m, row.a, k);
        pen[before === null || Math.abs(v - before) > 180 ? "moveTo" : "lineTo"](xOf((k + 1) / rate), row.y(v));
        before = v;
      }
      pen.stroke();
    }
  });
  caption(pen, row, data.rotations[row.a].name, data.rotations[row.a].meaning);
}
function drawSeconds(pen) {
  const bottom = layout.height - AXIS, step = nice(span(), Math.max(3, wide() / 110));
  pen.textAlign = "center"; pen.textBaseline = "top"; pen.fillStyle = style("--soft");
  for (let s = Math.ceil(start / step - 1e-9) * step; s <= start + span() + 1e-9; s += step) {
    const text = `${+s.toFixed(2)} s`, half = pen.measureText(text).width / 2;
    pen.fillText(text, Math.min(xOf(s), GUTTER + wide() + MARGIN - half), bottom + 2);
  }
}

// ---- what moves over the strips
function drawOver() {
  const pen = over.getContext("2d");
  pen.clearRect(0, 0, over.width, over.height);
  const line = (seconds, colour, thick, dashes) => {
    const x = xOf(seconds);
    if (x < GUTTER - 1 || x > GUTTER + wide() + 1) return;
    pen.beginPath(); pen.setLineDash(dashes); pen.strokeStyle = colour; pen.lineWidth = thick;
    pen.moveTo(x, layout.rows[0].top); pen.lineTo(x, layout.height - AXIS - 4); pen.stroke(); pen.setLineDash([]);
  };
  if (hovered) line(hovered.seconds, style("--soft"), 1, [3, 3]);
  line(time, style("--ink"), 1.5, []);
  for (const row of layout.rows.filter((r) => r.kind === "angle")) {
    for (const m of shown().reverse()) {
      pen.beginPath(); pen.arc(xOf(time), row.y(at(m, row.a, time)), 4, 0, 7);
      pen.fillStyle = style(`--motion-${m}`); pen.fill(); pen.lineWidth = 1.5; pen.strokeStyle = style("--card"); pen.stroke();
    }
  }
}
function hover(event) {
  const box = over.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
  const row = layout.rows.find((r) => r.kind === "angle" && y >= r.top - 4 && y <= r.top + r.height + 4);
  hovered = x < GUTTER ? null : { seconds: secondsAt(x) };
  drawOver();
  tip.hidden = !hovered || !row || !shown().length;
  if (tip.hidden) return;
  const title = document.createElement("div");
  title.textContent = `${data.rotations[row.a].name} at ${hovered.seconds.toFixed(2)} s`;
  tip.replaceChildren(title, ...shown().map((m) => {
    const item = document.createElement("div"), dot = document.createElement("i");
    dot.style.background = style(`--motion-${m}`);
    item.append(dot, `${motions[m].name} ${signed(at(m, row.a, hovered.seconds))}`);
    return item;
  }));
  const card = tip.parentElement.clientWidth;
  tip.style.left = `${x + 24 + tip.offsetWidth > card ? x - tip.offsetWidth - 6 : x + 22}px`;
  tip.style.top = `${Math.max(0, y - 10)}px`;
}

// ---- time
function show() {
  if (span() < duration && (time < start || time > start + span())) { start = Math.min(duration - span(), Math.max(0, time - 0.05 * span())); drawStrips(); }
  $("scrub").value = time;
  $("scrub").setAttribute("aria-valuetext", `${time.toFixed(2)} of ${duration.toFixed(2)} seconds`);
  $("clock").textContent = `${time.toFixed(2)} / ${duration.toFixed(2)} s`;
  drawHeads(); drawOver();
}
function seek(seconds) {
  time = Math.min(duration, Math.max(0, seconds));
  if (sound) sound.currentTime = time;
  from = null;
  show();
}
async function play() {
  if (playing) return stop();
  if (time >= duration - 1e-3) seek(0);
  playing = true; from = null;
  $("play").dataset.playing = ""; $("play").setAttribute("aria-label", "Pause");
  if (sound) { sound.playbackRate = Number($("speed").value); sound.currentTime = time; await sound.play().catch(() => {}); }
  requestAnimationFrame(tick);
}
function stop() {
  playing = false;
  delete $("play").dataset.playing; $("play").setAttribute("aria-label", "Play");
  sound?.pause();
}
function tick(now) {
  if (!playing) return;
  // The sound is the clock; without one, or where the browser will not play it, the frames' own time is.
  if (sound && !sound.paused) { time = Math.min(duration, sound.currentTime); from = null; }
  else if (sound?.ended) time = duration;
  else { from ??= { now, time }; time = Math.min(duration, from.time + (now - from.now) / 1000 * Number($("speed").value)); }
  show();
  if (time >= duration - 1e-3) stop(); else requestAnimationFrame(tick);
}

$("play").addEventListener("click", play);
$("scrub").addEventListener("input", () => seek(Number($("scrub").value)));
$("speed").addEventListener("change", () => { from = null; if (sound) sound.playbackRate = Number($("speed").value); });
$("mute")?.addEventListener("change", () => { sound.muted = $("mute").checked; });
$("gain").addEventListener("change", () => drawHeads());
$("centre").addEventListener("change", redraw);
$("span").addEventListener("change", () => { start = Math.min(Math.max(0, time - span() / 2), Math.max(0, duration - span())); redraw(); });
heads.forEach((head) => head.box.addEventListener("change", () => { head.section.classList.toggle("off", !head.box.checked); redraw(); }));
over.addEventListener("pointerdown", (event) => { over.setPointerCapture(event.pointerId); over.dataset.held = ""; seek(secondsAt(event.offsetX)); });
over.addEventListener("pointermove", (event) => { if ("held" in over.dataset) seek(secondsAt(event.offsetX)); hover(event); });
over.addEventListener("pointerup", () => { delete over.dataset.held; });
over.addEventListener("pointercancel", () => { delete over.dataset.held; });
over.addEventListener("pointerleave", () => { hovered = null; tip.hidden = true; drawOver(); });
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select")) return;
  const step = event.shiftKey ? 1 : 1 / rate;
  if (event.key === " " && !event.target.matches("button, input[type=checkbox]")) play();
  else if (event.key === "ArrowRight") seek(time + step);
  else if (event.key === "ArrowLeft") seek(time - step);
  else if (event.key === "Home") seek(0);
  else if (event.key === "End") seek(duration);
  else return;
  event.preventDefault();
});
function redraw() { centred = $("centre").checked; bounds = null; drawStrips(); show(); }
addEventListener("resize", redraw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
// A link can lead to a moment: page.html#3.5
const moment = Number(location.hash.slice(1));
redraw();
seek(Number.isFinite(moment) ? moment : 0);
