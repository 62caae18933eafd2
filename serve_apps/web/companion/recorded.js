// A recording that is said in place of the microphone, at the pace of speech.

const TICK_MS = 40;

// The samples of a file, mixed to one channel.
export async function samplesOf(file, rate_hz) {
  const audio = await new OfflineAudioContext(1, 1, rate_hz).decodeAudioData(await file.arrayBuffer())
    .catch(() => { throw new Error(`this browser cannot read ${file.name} as sound`); });
  const channels = Array.from({ length: audio.numberOfChannels }, (_, i) => audio.getChannelData(i));
  return channels[0].map((_, i) => channels.reduce((sum, channel) => sum + channel[i], 0) / channels.length);
}

// Calls append(pcm) as time goes by, then done(). Gives what stops it.
export function sayRecording(samples, rate_hz, { append, done }) {
  const began_ms = performance.now();
  let sent = 0;
  const timer = setInterval(() => {
    const due = Math.min(samples.length, Math.round((performance.now() - began_ms + TICK_MS) / 1000 * rate_hz));
    append(Int16Array.from(samples.subarray(sent, due), (value) => Math.max(-32768, Math.min(32767, Math.round(value * 32768)))).buffer);
    sent = due;
    if (sent < samples.length) return;
    clearInterval(timer);
    done();
  }, TICK_MS);
  return () => clearInterval(timer);
}
