// The microphone, and the WebSocket that answers it with poses.

import { openSocket } from "./page.js";
import { openMicrophone } from "./sound_input.js";

const ACK_S = 0.25; // between two acknowledgements, of which the server wants some a second
const PING_MS = 1000; // a microphone that is switched off gives no sound, and the server would take the page for gone
const RATES_HZ = [8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000];

// Begins to stream; calls poses(message), level(peak), and at the end end(problem), where there is one. Gives {stop}.
export async function openStream(wishes, { poses, level, end }) {
  let socket = null, pings = 0, ended = false;
  const sound = await openMicrophone({
    take({ pcm, peak }) {
      level(peak);
      if (socket?.readyState === WebSocket.OPEN && !ended) socket.send(pcm);
    },
    lost: () => finish({ message: "the microphone has gone" }),
  });

  function release() {
    ended = true;
    clearInterval(pings);
    sound.stop();
    if (socket?.readyState <= WebSocket.OPEN) socket.close();
  }
  function finish(problem) {
    if (ended) return;
    release();
    end(problem);
  }

  try {
    if (!RATES_HZ.includes(sound.rate_hz)) throw new Error(`the microphone has ${sound.rate_hz} Hz, which the server does not know`);
    socket = await connected({ type: "start", sample_rate_hz: sound.rate_hz, ...wishes }, poses, finish);
    pings = setInterval(() => { if (socket.readyState === WebSocket.OPEN) socket.send('{"type": "ping"}'); }, PING_MS);
  } catch (error) {
    if (!ended) release();
    throw error;
  }
  return { stop: () => finish() };
}

// The socket once the server has begun. Before that the promise tells what is wrong, after it finish(problem): one of them, once.
function connected(start, poses, finish) {
  const socket = openSocket("v1/audio/head-motion/stream", "rapport");
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
