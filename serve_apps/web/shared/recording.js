// Recordings from a file, a drop or the microphone.

import { takeFiles } from "./files.js";
import { $, fail, show } from "./page.js";

let recorder = null;

// Calls `take(blob, name)` for each.
export function takeRecordings(take) {
  takeFiles((file) => take(file, file.name));
  $("record").addEventListener("click", () => toggleRecording(take));
}

async function toggleRecording(take) {
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
    take(new Blob(parts, { type }), "your recording");
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
