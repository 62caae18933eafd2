// The microphone as pieces of PCM16.

// Calls take({pcm, peak}) with every piece of `piece_s` seconds, and lost() when the device goes away. At `rate_hz`, or the device's own
// rate unless given. Gives {rate_hz, stop}.
export async function openMicrophone({ take, lost = () => {}, piece_s = 0.02, rate_hz = null, device = "" }) {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Error("the browser gives pages the microphone only on https:// addresses and on this computer (http://localhost)");
  }
  // Browsers clean voices up for telephones; models would rather hear them as they are.
  const audio = { autoGainControl: false, noiseSuppression: false, ...(device ? { deviceId: { exact: device } } : {}) };
  const sound = await navigator.mediaDevices.getUserMedia({ audio }).catch((error) => { throw new Error(`no microphone: ${error.message}`); });
  const context = new AudioContext();
  const stop = () => {
    sound.getTracks().forEach((track) => { track.onended = null; track.stop(); });
    if (context.state !== "closed") context.close();
  };
  try {
    await context.audioWorklet.addModule("assets/microphone.js");
    const rate = rate_hz ?? context.sampleRate;
    const processorOptions = { samples: Math.round(piece_s * rate), rate };
    const collector = new AudioWorkletNode(context, "collector", { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit", processorOptions });
    collector.port.onmessage = ({ data }) => take(data);
    context.createMediaStreamSource(sound).connect(collector);
    for (const track of sound.getAudioTracks()) track.onended = () => { stop(); lost(); };
    return { rate_hz: rate, stop };
  } catch (error) {
    stop();
    throw error;
  }
}

// Fills a <select> with the microphones that there are; the browser tells their names once one has been used.
export async function listMicrophones(select) {
  const devices = await navigator.mediaDevices?.enumerateDevices?.().catch(() => []) ?? [];
  const chosen = select.value;
  const own = devices.filter((device) => device.kind === "audioinput" && device.deviceId && device.deviceId !== "default");
  select.replaceChildren(new Option("the standard one", ""), ...own.map((device, i) => new Option(device.label || `microphone ${i + 1}`, device.deviceId)));
  select.value = own.some((device) => device.deviceId === chosen) ? chosen : "";
}

// A peak of 0 to 1 as the height of a meter: 60 dB below the loudest is nothing.
export const loudness = (peak) => Math.max(0, 1 + Math.log10(peak + 1e-6) / 3);
