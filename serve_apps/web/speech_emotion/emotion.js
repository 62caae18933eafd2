import { drawBars, drawTimeline, drawWaveform, momentAt } from "./charts.js";

const $ = (id) => document.getElementById(id);
const show = (id, visible) => $(id).classList.toggle("hidden", !visible);
const colours = await (await fetch("assets/colours.json")).json();

let answer = null; // the last answer of the server
let lastBlob = null; // the last recording, sent again once a key is given
let requestNumber = 0;

// The key stays in this tab: it is forgotten when the tab closes.
const headers = () => {
  const key = sessionStorage.getItem("rapport-key");
  return key ? { Authorization: `Bearer ${key}` } : {};
};

async function ask(path, options = {}) {
  const response = await fetch(path, { ...options, headers: headers() });
  const body = await response.json().catch(() => null);
  if (response.ok && body) return body;
  if (response.status === 401) show("key-form", true);
  throw new Error(body?.error?.message ?? `the server answered ${response.status}`);
}

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

function fail(message) {
  $("error").textContent = message.charAt(0).toUpperCase() + message.slice(1);
  show("error", true);
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

function textElement(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

// ---- recording -------------------------------------------------------------------------------------------------------------------

let recorder = null;

async function toggleRecording() {
  if (recorder) return recorder.stop();
  show("error", false);
  if (!navigator.mediaDevices?.getUserMedia) {
    return fail("the browser gives pages the microphone only on https:// addresses and on this computer (http://localhost)");
  }
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  } catch (error) {
    return fail(`no microphone: ${error.message}`);
  }
  const parts = [];
  const started = Date.now();
  recorder = new MediaRecorder(stream);
  recorder.ondataavailable = (event) => parts.push(event.data);
  const meter = watchLevel(stream);
  const clock = setInterval(() => { $("record-label").textContent = `Stop (${((Date.now() - started) / 1000).toFixed(0)} s)`; }, 250);
  recorder.onstop = () => {
    clearInterval(clock);
    meter.close();
    stream.getTracks().forEach((track) => track.stop());
    const type = recorder.mimeType;
    recorder = null;
    setRecording(false);
    analyse(new Blob(parts, { type }), "your recording");
  };
  recorder.start();
  setRecording(true);
}

function setRecording(on) {
  $("record").setAttribute("aria-pressed", String(on));
  $("record-label").textContent = on ? "Stop" : "Record";
  show("level", on);
  show("drop-hint", !on);
}

function watchLevel(stream) {
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  context.createMediaStreamSource(stream).connect(analyser);
  const values = new Float32Array(analyser.fftSize);
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(values);
    const rms = Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / values.length);
    $("level").value = Math.max(0, Math.min(1, 1 + Math.log10(rms + 1e-6) / 3));
  }, 60);
  return { close: () => { clearInterval(timer); context.close(); } };
}

// ---- events ----------------------------------------------------------------------------------------------------------------------

$("file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  if (file) analyse(file, file.name);
  event.target.value = ""; // the same file may be chosen again
});
$("record").addEventListener("click", toggleRecording);
$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("rapport-key", $("key").value.trim());
  show("key-form", false);
  introduce();
  if (lastBlob) analyse(...lastBlob);
});
for (const type of ["dragenter", "dragover"]) {
  document.addEventListener(type, (event) => { event.preventDefault(); $("input").classList.add("over"); });
}
for (const type of ["dragleave", "drop"]) {
  document.addEventListener(type, (event) => { event.preventDefault(); $("input").classList.remove("over"); });
}
document.addEventListener("drop", (event) => {
  const [file] = event.dataTransfer.files;
  if (file) analyse(file, file.name);
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
