import { drawBars } from "./bars.js";
import { Connection } from "./connection.js";
import { takeFiles } from "./files.js";
import { HeadView } from "./head_view.js";
import { $, ask, colours, fail, onKey, show, textElement } from "./page.js";
import { drawParts, partsOf } from "./parts.js";
import { Player } from "./player.js";
import { samplesOf, sayRecording } from "./recorded.js";
import { Session } from "./session.js";
import { listMicrophones, loudness, openMicrophone } from "./sound_input.js";
import { Timeline } from "./timeline.js";
import { Transcript } from "./transcript.js";

const RATE_HZ = 24000; // of all audio of the interface
const PIECE_S = 0.04;
const HAIR = "#0072b2";

let microphone = null;
let stopRecording = null; // while a recording is said in place of the microphone

const connection = new Connection({ heard: (event) => session.take(event), changed: showState });
const player = new Player(RATE_HZ, (on) => show("hush", on));
const timeline = new Timeline($("timeline"), colours);
const transcript = new Transcript($("turns"), $("said"));
const head = new HeadView($("head"), await (await fetch("assets/head.json")).json(), HAIR);
const session = new Session({
  connection, player, transcript, timeline, head, wishes,
  view: { parts: showParts, feel: showFeeling, latency: showLatency, problem },
});

// ---- what is shown -------------------------------------------------------------------------------------------------------------------

const STATES = {
  resting: () => "Ready", connecting: () => "Connecting …", live: () => "Connected", refused: () => "The server wants a key",
  waiting: (seconds) => `Connection lost${seconds ? `, trying again in ${seconds} s` : ""}`,
};

function showState(state, detail) {
  $("state").dataset.state = state;
  $("state").textContent = STATES[state](detail);
  if (state === "live") return show("anew", true);
  session.settle();
  endRecording();
  if (state === "refused") problem(detail);
}

function showParts(parts) {
  const canWrite = parts.dialogue && parts.voice;
  drawParts($("parts"), parts);
  show("advice", Object.values(parts).some((there) => !there));
  for (const id of ["words", "send"]) $(id).disabled = !canWrite;
  $("words").placeholder = canWrite ? "Or write a message" : "To write, this server needs a dialogue model and a voice";
  for (const id of ["voice", "aloud"]) $(id).disabled = !(parts.voice && parts.dialogue);
  show("face", parts.head_motion);
  head.draw();
}

function showFeeling(scores, emotion) {
  drawBars($("bars"), scores, colours);
  $("emotion").textContent = `${emotion} ${Math.round(100 * scores[emotion])} %`;
  $("swatch").style.background = colours[emotion];
  const known = Object.keys(scores);
  if ($("legend").children.length !== known.length) $("legend").replaceChildren(...known.map(legend));
}

function legend(name) {
  const item = textElement("li", ""), swatch = textElement("span", "", "swatch");
  swatch.style.background = colours[name];
  item.append(swatch, name);
  return item;
}

function showLatency(steps) {
  const first = steps.first_audible_sample ?? steps.first_text;
  if (first === undefined) return;
  const seconds = (ms) => `${(ms / 1000).toFixed(2)} s`;
  $("latency").textContent = `Reply after ${seconds(first)}${steps.commit ? `, of which the pause ${seconds(steps.commit)}` : ""}`;
  $("latency").title = Object.entries(steps).map(([step, ms]) => `${step.replaceAll("_", " ")}: ${Math.round(ms)} ms`).join("\n");
  show("latency", true);
}

function problem(message, code) {
  if (code === "input_audio_buffer_full") endRecording();
  fail(message);
}

// The settings that the page asks a session for.
function wishes() {
  const spoken = $("aloud").checked && session.parts.voice;
  const voice = $("voice").value ? { output: { voice: $("voice").value } } : {};
  return { type: "realtime", output_modalities: [spoken ? "audio" : "text"], audio: voice };
}

// ---- the microphone ------------------------------------------------------------------------------------------------------------------

async function talk() {
  if (microphone) return stopTalking();
  show("error", false);
  $("talk").disabled = true;
  try {
    player.wake();
    microphone = await openMicrophone({
      rate_hz: RATE_HZ, piece_s: PIECE_S, device: $("microphone").value, lost: () => { stopTalking(); fail("the microphone has gone"); },
      take({ pcm, peak }) {
        $("level").value = loudness(peak);
        if (!stopRecording) session.append(pcm);
      },
    });
    listMicrophones($("microphone"));
    showTalking();
    $("talk").disabled = false;
    await connection.open();
  } catch (error) {
    stopTalking();
    if (error) problem(error.message);
  } finally {
    $("talk").disabled = false;
  }
}

function stopTalking() {
  if (microphone && !stopRecording) session.pause();
  microphone?.stop();
  microphone = null;
  showTalking();
}

function showTalking() {
  $("talk").setAttribute("aria-pressed", String(Boolean(microphone)));
  $("talk-label").textContent = microphone ? "Stop talking" : "Start talking";
  show("level", Boolean(microphone));
}

// ---- recordings and writing ----------------------------------------------------------------------------------------------------------

async function sendRecording(file) {
  show("error", false);
  endRecording();
  player.wake();
  try {
    const samples = await samplesOf(file, RATE_HZ);
    await connection.open();
    session.beginRecording();
    player.play(null, samples);
    $("busy").textContent = `Saying ${file.name} …`;
    show("busy", true);
    stopRecording = sayRecording(samples, RATE_HZ, {
      append: (pcm) => session.append(pcm),
      done() {
        stopRecording = null;
        show("busy", false);
        session.commit();
      },
    });
  } catch (error) {
    if (error) problem(error.message);
  }
}

function endRecording() {
  if (!stopRecording) return;
  stopRecording();
  stopRecording = null;
  show("busy", false);
  session.dropRecording();
  player.stop();
}

async function write(event) {
  event.preventDefault();
  const text = $("words").value.trim();
  if (!text) return;
  show("error", false);
  player.wake();
  try {
    await connection.open();
    $("words").value = "";
    session.write(text);
  } catch (error) {
    if (error) problem(error.message);
  }
}

function hush() {
  endRecording();
  session.hush();
}

function startAnew() {
  hush();
  if (microphone) stopTalking();
  connection.close();
  transcript.clear();
  timeline.clear();
  for (const id of ["bars", "legend"]) $(id).replaceChildren();
  delete $("bars").dataset.names;
  $("emotion").textContent = "No voice yet";
  $("swatch").style.background = "";
  for (const id of ["anew", "latency", "error"]) show(id, false);
  $("talk").focus();
}

// ---- events --------------------------------------------------------------------------------------------------------------------------

$("talk").addEventListener("click", talk);
$("hush").addEventListener("click", hush);
$("anew").addEventListener("click", startAnew);
$("write").addEventListener("submit", write);
$("microphone").addEventListener("change", () => { if (microphone) { stopTalking(); talk(); } });
for (const id of ["voice", "aloud"]) $(id).addEventListener("change", () => session.update());
document.addEventListener("keydown", (event) => { if (event.key === "Escape") hush(); });
navigator.mediaDevices?.addEventListener?.("devicechange", () => listMicrophones($("microphone")));
const redraw = () => { timeline.draw(); head.draw(); };
window.addEventListener("resize", redraw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
setInterval(() => { if (connection.live) timeline.draw(); }, 500);
takeFiles(sendRecording);
onKey(() => { show("error", false); introduce(); });

async function introduce() {
  try {
    const models = (await ask("v1/models")).data;
    $("facts").textContent = `Models: ${models.map((model) => model.id).join(", ")}.`;
    $("voice").replaceChildren(...(models.find((model) => model.voices)?.voices ?? []).map((name) => new Option(name, name)));
    session.parts = partsOf(models);
    showParts(session.parts);
    connection.become("resting");
  } catch (error) {
    fail(error.message);
  }
}

$("server").textContent = location.host;
listMicrophones($("microphone"));
introduce();
