import { drawTraces, showAngles, style } from "./drawing.js";
import { takeFiles } from "./files.js";
import { ANGLES, REST, drawHead, glided } from "./head_drawing.js";
import { $, ask, fail, onKey, show } from "./page.js";
import { loudness } from "./sound_input.js";
import { openStream } from "./stream.js";

const KEPT = 4000; // frames
const shape = await (await fetch("assets/head.json")).json();
const numbers = ANGLES.map($);
let frames = [];
let shown = REST; // the pose that the head is drawn in
let talking = null; // the stream and the microphone
let playing = false; // whether the frames are those of the recording in the player
let lastFile = null;

// ---- drawing -----------------------------------------------------------------------------------------------------------------------

function draw() {
  const now = playing ? $("player").currentTime : frames.at(-1)?.time_s ?? 0;
  const wanted = playing ? frames.findLast((frame) => frame.time_s <= now) ?? frames[0] ?? REST : frames.at(-1) ?? REST;
  shown = glided(shown, wanted);
  drawHead($("head"), shape, shown, style("--roll"), Number($("gain").value));
  drawTraces($("traces"), playing ? frames.filter((frame) => frame.time_s <= now) : frames, now);
  if (frames.length) showAngles(numbers, wanted);
  if (talking || (playing && !$("player").paused)) requestAnimationFrame(draw);
}

function restart(isRecording) {
  frames = [];
  shown = REST;
  playing = isRecording;
  show("player", isRecording);
  show("error", false);
}

// ---- the microphone ------------------------------------------------------------------------------------------------------------------

async function talk() {
  if (talking) return talking.stop();
  $("player").pause();
  $("talk").disabled = true;
  try {
    talking = await openStream(wishes(), {
      poses(message) {
        frames.push(...message.frames);
        if (frames.length > KEPT) frames = frames.slice(-KEPT / 2);
        tellNow(message);
      },
      level: (peak) => { $("level").value = loudness(peak); },
      end(problem) {
        talking = null;
        setTalking(false);
        if (problem?.wantsKey) show("key-form", true);
        if (problem) fail(problem.message);
      },
    });
    restart(false);
    setTalking(true);
    draw();
  } catch (error) {
    if (error.wantsKey) show("key-form", true);
    fail(error.message);
  } finally {
    $("talk").disabled = false;
  }
}

function setTalking(on) {
  $("talk").setAttribute("aria-pressed", String(on));
  $("talk-label").textContent = on ? "Stop" : "Start the microphone";
  show("level", on);
  show("hint", !on);
}

function tellNow({ waited_ms, missed_s, dropped_s, lost_frames }) {
  const lost = [missed_s && `${missed_s.toFixed(1)} s without audio`, dropped_s && `${dropped_s.toFixed(1)} s dropped`, lost_frames && `${lost_frames} poses not read`];
  const told = [`Computed ${waited_ms.toFixed(0)} ms after the sound came`, ...lost.filter(Boolean)];
  $("facts-now").textContent = `${told.join(", ")}.`;
}

const wishes = () => ({
  ...($("rate").value ? { rate_hz: Number($("rate").value) } : {}),
  ...($("drawn").checked ? { seed: Number($("seed").value) || 0 } : {}),
});

// ---- a recording ---------------------------------------------------------------------------------------------------------------------

async function listenTo(blob) {
  lastFile = blob;
  talking?.stop();
  show("busy", true);
  show("error", false);
  const form = new FormData();
  form.append("file", blob);
  for (const [name, value] of Object.entries(wishes())) form.append(name, value);
  try {
    const answer = await ask("v1/audio/head-motion", { method: "POST", body: form });
    restart(true);
    frames = answer.frames;
    if ($("player").src) URL.revokeObjectURL($("player").src);
    $("player").src = URL.createObjectURL(blob);
    $("facts-now").textContent = `${frames.length} poses to ${answer.duration_s.toFixed(1)} s of sound.`;
    draw();
    $("player").play().catch(() => {}); // where the browser wants a click first, the player waits for it
  } catch (error) {
    fail(error.message);
  } finally {
    show("busy", false);
  }
}

// ---- events --------------------------------------------------------------------------------------------------------------------------

$("talk").addEventListener("click", talk);
takeFiles(listenTo);
$("drawn").addEventListener("change", () => { $("seed").disabled = !$("drawn").checked; });
for (const type of ["play", "seeked"]) $("player").addEventListener(type, draw);
$("gain").addEventListener("change", draw);
window.addEventListener("resize", draw);
onKey(() => { introduce(); if (lastFile) listenTo(lastFile); });

async function introduce() {
  try {
    const [model] = (await ask("v1/models")).data;
    $("facts").textContent = `Model “${model.id}”: ${model.rate_hz} poses a second${model.streams ? `, ${(1000 * model.latency_s).toFixed(0)} ms behind the voice by design` : ", for recordings only"}.`;
    $("talk").disabled = !model.streams;
    $("drawn").disabled = !model.draws;
  } catch (error) {
    fail(error.message);
  }
}
draw();
introduce();
