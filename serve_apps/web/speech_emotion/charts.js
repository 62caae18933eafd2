// Drawing alone: what is shown is decided in emotion.js.

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 100;

// Stacked areas: at each window's middle, the probabilities fill the height. The ends are carried to the edges of the clip.
export function drawTimeline(svg, answer, colours) {
  const names = Object.keys(answer.scores);
  const points = middles(answer);
  svg.setAttribute("viewBox", `0 0 ${answer.duration_s} ${HEIGHT}`);
  svg.setAttribute("aria-label", `Emotion over time: ${spoken(answer)}`);
  const base = points.map(() => 0);
  svg.replaceChildren(...names.map((name) => {
    const below = points.map((p, i) => [p.at, HEIGHT - base[i] * HEIGHT]);
    points.forEach((p, i) => { base[i] += p.scores[name]; });
    const above = points.map((p, i) => [p.at, HEIGHT - base[i] * HEIGHT]);
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", `M${[...below, ...above.reverse()].map((xy) => xy.join(",")).join("L")}Z`);
    path.setAttribute("fill", colours[name]);
    const title = document.createElementNS(SVG, "title");
    title.textContent = name;
    path.append(title);
    return path;
  }));
}

// Probabilities at a moment, interpolated as the chart shows them.
export function momentAt(answer, seconds) {
  const points = middles(answer);
  const next = points.findIndex((p) => p.at >= seconds);
  if (next <= 0) return points[next < 0 ? points.length - 1 : 0].scores;
  const [a, b] = [points[next - 1], points[next]];
  const part = b.at > a.at ? (seconds - a.at) / (b.at - a.at) : 1;
  return Object.fromEntries(Object.keys(a.scores).map((name) => [name, a.scores[name] * (1 - part) + b.scores[name] * part]));
}

export async function drawWaveform(canvas, blob) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth * ratio;
  const height = canvas.clientHeight * ratio;
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  context.fillStyle = getComputedStyle(document.body).color;
  context.globalAlpha = 0.55;
  let samples;
  try {
    const audio = await new OfflineAudioContext(1, 1, 16000).decodeAudioData(await blob.arrayBuffer());
    samples = audio.getChannelData(0);
  } catch {
    canvas.classList.add("hidden"); // the server reads more formats than this browser does
    return;
  }
  canvas.classList.remove("hidden");
  const columns = Math.floor(width / (2 * ratio));
  for (let column = 0; column < columns; column++) {
    const from = Math.floor((column * samples.length) / columns);
    const to = Math.max(from + 1, Math.floor(((column + 1) * samples.length) / columns));
    let peak = 0;
    for (let i = from; i < to; i++) peak = Math.max(peak, Math.abs(samples[i]));
    const tall = Math.max(ratio, peak * height * 0.92);
    context.fillRect(column * 2 * ratio, (height - tall) / 2, 1.4 * ratio, tall);
  }
}

function middles(answer) {
  const inner = answer.windows.map((w) => ({ at: (w.start_s + w.end_s) / 2, scores: w.scores }));
  return [{ at: 0, scores: inner[0].scores }, ...inner, { at: answer.duration_s, scores: inner[inner.length - 1].scores }];
}

function spoken(answer) {
  const runs = [];
  for (const w of answer.windows) {
    if (runs.at(-1)?.emotion === w.emotion) runs.at(-1).end = w.end_s;
    else runs.push({ emotion: w.emotion, start: w.start_s, end: w.end_s });
  }
  return runs.map((r) => `${r.emotion} from ${r.start.toFixed(1)} to ${r.end.toFixed(1)} seconds`).join("; ");
}
