import { drawBars } from "./bars.js";
import { drawTimeline, drawWaveform, momentAt } from "./charts.js";
import { $, ask, colours, fail, onKey, show, textElement } from "./page.js";
import { takeRecordings } from "./recording.js";

let answer = null; // the last answer of the server
let lastBlob = null; // the last recording, sent again once a key is given
let requestNumber = 0;

async function analyse(blob, name) {
  const number = ++requestNumber;
  lastBlob = [blob, name];
  show("error", false);
  show("busy", true);
  const form = new FormData();
  form.append("file", blob, name);
  form.append("transcribe", $("transcribe").checked);
  if ($("hop").value) form.append("hop_s", $("hop").value);
  try {
    const body = await ask("v1/audio/emotions", { method: "POST", body: form });
    if (number === requestNumber) await present(body, blob, name);
  } catch (error) {
    if (number === requestNumber) fail(error.message);
  } finally {
    if (number === requestNumber) show("busy", false);
  }
}

async function present(body, blob, name) {
  answer = body;
  show("result", true);
  $("emotion").textContent = body.emotion;
  $("swatch").style.background = colours[body.emotion];
  $("about").textContent = `${percent(body.scores[body.emotion])} likely · ${body.duration_s.toFixed(1)} s · ${name}`;
  show("words", Boolean(body.text));
  $("words").textContent = body.text ?? "";
  drawBars($("bars"), body.scores, colours);
  show("over-time", body.windows.length > 0);
  show("windows", body.windows.length > 0);
  if (body.windows.length) {
    drawTimeline($("timeline"), body, colours);
    fillTable(body.windows);
    $("axis").replaceChildren(...[0, 0.25, 0.5, 0.75, 1].map((part) => textElement("span", `${(part * body.duration_s).toFixed(1)} s`)));
  }
  if ($("player").src) URL.revokeObjectURL($("player").src);
  $("player").src = URL.createObjectURL(blob);
  showMoment(0);
  $("emotion").focus({ preventScroll: true });
  $("result").scrollIntoView({ block: "nearest" });
  await drawWaveform($("waveform"), blob);
}

function fillTable(windows) {
  $("rows").replaceChildren(...windows.map((w) => {
    const row = document.createElement("tr");
    const cells = [`${w.start_s.toFixed(2)} s`, `${w.end_s.toFixed(2)} s`, w.emotion, percent(w.scores[w.emotion])];
    row.append(...cells.map((text) => textElement("td", text)));
    return row;
  }));
}

function showMoment(seconds) {
  if (!answer?.windows.length) return;
  const part = Math.min(1, seconds / answer.duration_s);
  $("cursor").style.left = `${part * 100}%`;
  const scores = momentAt(answer, seconds);
  const best = Object.entries(scores).sort((a, b) => b[1] - a[1]).slice(0, 3);
  $("moment").textContent = `At ${seconds.toFixed(1)} s: ${best.map(([name, score]) => `${name} ${percent(score)}`).join(", ")}`;
}

const percent = (value) => `${Math.round(value * 100)} %`;

// ---- events ----------------------------------------------------------------------------------------------------------------------

takeRecordings(analyse);
onKey(() => {
  introduce();
  if (lastBlob) analyse(...lastBlob);
});
$("chart").addEventListener("click", (event) => {
  const box = $("chart").getBoundingClientRect();
  $("player").currentTime = ((event.clientX - box.left) / box.width) * answer.duration_s;
  showMoment($("player").currentTime);
});
const follow = () => {
  showMoment($("player").currentTime);
  if (!$("player").paused) requestAnimationFrame(follow);
};
$("player").addEventListener("play", follow);
$("player").addEventListener("seeked", follow);

async function introduce() {
  try {
    const [model] = (await ask("v1/models")).data;
    $("facts").textContent = `Model “${model.id}”: ${model.emotions.join(", ")}; trained on ${model.window_s.toFixed(1)} s windows.`;
  } catch (error) {
    fail(error.message);
  }
}
introduce();
