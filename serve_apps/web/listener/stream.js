// The microphone, and the WebSocket that answers it with poses.

const PIECE_S = 0.02;
const ACK_S = 0.25; // between two acknowledgements
const RATES_HZ = [8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000];

// Begins to stream; calls poses(message), level(peak), and at the end end(problem), where there is one. Gives {stop}.
export async function openStream(wishes, { poses, level, end }) {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Error("the browser gives pages the microphone only on https:// addresses and on this computer (http://localhost)");
  }
  // Browsers clean voices up for telephones; a listener would rather hear them as they are.
  const sound = await navigator.mediaDevices.getUserMedia({ audio: { autoGainControl: false, noiseSuppression: false } })
    .catch((error) => { throw new Error(`no microphone: ${error.message}`); });
  const context = new AudioContext();
  let socket = null, ended = false;

  function finish(problem) {
    if (ended) return;
    ended = true;
    sound.getTracks().forEach((track) => track.stop());
    context.close();
    if (socket?.readyState <= WebSocket.OPEN) socket.close();
    end(problem);
  }

  try {
    if (!RATES_HZ.includes(context.sampleRate)) throw new Error(`the microphone has ${context.sampleRate} Hz, which the server does not know`);
    await context.audioWorklet.addModule("assets/microphone.js");
    const samples = Math.round(PIECE_S * context.sampleRate);
    const collector = new AudioWorkletNode(context, "collector", { numberOfOutputs: 0, processorOptions: { samples } });
    socket = await connected({ type: "start", sample_rate_hz: context.sampleRate, acks: true, ...wishes }, poses, finish);
    collector.port.onmessage = ({ data }) => {
      level(data.peak);
      if (socket.readyState === WebSocket.OPEN && !ended) socket.send(data.pcm);
    };
    context.createMediaStreamSource(sound).connect(collector);
  } catch (error) {
    ended = true;
    sound.getTracks().forEach((track) => track.stop());
    context.close();
    throw error;
  }
  return { stop: () => finish() };
}

// The socket once the server has begun.
function connected(start, poses, finish) {
  const url = new URL("v1/audio/head-motion/stream", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  const key = sessionStorage.getItem("rapport-key");
  const socket = new WebSocket(url, ["rapport", ...(key ? [`openai-insecure-api-key.${key}`] : [])]);
  socket.binaryType = "arraybuffer";
  let acknowledged = 0, opened = false, problem = null;
  return new Promise((resolve, reject) => {
    socket.onopen = () => { opened = true; socket.send(JSON.stringify(start)); };
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.type === "started") resolve(socket);
      if (message.type === "error") problem = { message: message.error.message };
      if (message.type !== "poses") return;
      poses(message);
      const { time_s } = message.frames.at(-1);
      if (time_s - acknowledged < ACK_S) return;
      acknowledged = time_s;
      socket.send(JSON.stringify({ type: "ack", time_s }));
    };
    socket.onclose = () => {
      // What a refused connection was refused for, the browser does not tell.
      problem ??= opened ? { message: "the server has ended the connection" } : { message: "the server refused the connection", wantsKey: true };
      reject(new Error(problem.message));
      finish(problem);
    };
  });
}
