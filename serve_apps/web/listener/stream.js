// The microphone, and the WebSocket that answers it with poses.

const PIECE_S = 0.02;
const ACK_S = 0.25; // between two acknowledgements, of which the server wants some a second
const PING_MS = 1000; // a microphone that is switched off gives no sound, and the server would take the page for gone
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
  let socket = null, pings = 0, ended = false;

  function release() {
    ended = true;
    clearInterval(pings);
    sound.getTracks().forEach((track) => track.stop());
    context.close();
    if (socket?.readyState <= WebSocket.OPEN) socket.close();
  }
  function finish(problem) {
    if (ended) return;
    release();
    end(problem);
  }

  try {
    if (!RATES_HZ.includes(context.sampleRate)) throw new Error(`the microphone has ${context.sampleRate} Hz, which the server does not know`);
    await context.audioWorklet.addModule("assets/microphone.js");
    const samples = Math.round(PIECE_S * context.sampleRate);
    const collector = new AudioWorkletNode(context, "collector", { numberOfOutputs: 0, processorOptions: { samples } });
    socket = await connected({ type: "start", sample_rate_hz: context.sampleRate, ...wishes }, poses, finish);
    collector.port.onmessage = ({ data }) => {
      level(data.peak);
      if (socket.readyState === WebSocket.OPEN && !ended) socket.send(data.pcm);
    };
    context.createMediaStreamSource(sound).connect(collector);
    pings = setInterval(() => { if (socket.readyState === WebSocket.OPEN) socket.send('{"type": "ping"}'); }, PING_MS);
  } catch (error) {
    if (!ended) release();
    throw error;
  }
  return { stop: () => finish() };
}

// The socket once the server has begun. Before that the promise tells what is wrong, after it finish(problem): one of them, once.
function connected(start, poses, finish) {
  const url = new URL("v1/audio/head-motion/stream", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  const key = sessionStorage.getItem("rapport-key");
  const socket = new WebSocket(url, ["rapport", ...(key ? [`openai-insecure-api-key.${key}`] : [])]);
  socket.binaryType = "arraybuffer";
  let acknowledged = 0, opened = false, started = false, problem = null;
  return new Promise((resolve, reject) => {
    socket.onopen = () => { opened = true; socket.send(JSON.stringify(start)); };
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.type === "started") {
        started = true;
        resolve(socket);
      }
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
      if (started) finish(problem);
      else reject(Object.assign(new Error(problem.message), problem));
    };
  });
}
