// The session with the server: opened when it is needed, and again when it is lost.

import { ask, openSocket } from "./page.js";

const PAUSES_S = [0.5, 1, 2, 4, 8]; // before each try to connect again

export class Connection {
  // heard(event) is told every event of the server; changed(state, detail) that the state is now resting, connecting, live, waiting
  // (detail: seconds until the next try) or refused (detail: why).
  constructor({ heard, changed }) {
    Object.assign(this, { heard, changed, state: "resting", socket: null, tries: 0, timer: 0, callers: [] });
  }

  get live() {
    return this.state === "live";
  }

  // Settles once a session is there, or the user has given up.
  open() {
    if (this.live) return Promise.resolve();
    const opened = new Promise((resolve, reject) => this.callers.push({ resolve, reject }));
    if (this.state !== "connecting") this.connect();
    return opened;
  }

  // Whether there was a session to send it to.
  send(type, fields = {}) {
    if (this.live) this.socket.send(JSON.stringify({ type, ...fields }));
    return this.live;
  }

  close() {
    clearTimeout(this.timer);
    const socket = this.socket;
    this.socket = null;
    this.become("resting");
    socket?.close();
    this.settle("reject", null); // nothing is wrong
  }

  connect() {
    clearTimeout(this.timer);
    this.become("connecting");
    const socket = openSocket("v1/realtime", "realtime");
    let problem = null;
    this.socket = socket;
    socket.onmessage = ({ data }) => {
      if (socket !== this.socket) return;
      const event = JSON.parse(data);
      if (event.type === "error") problem = event.error;
      if (event.type === "session.created") {
        this.tries = 0;
        this.become("live");
      }
      this.heard(event);
      if (event.type === "session.created") this.settle("resolve");
    };
    socket.onclose = () => { if (socket === this.socket) this.lose(problem); };
  }

  async lose(problem) {
    this.socket = null;
    if (problem?.code === "session_idle") return this.become("resting"); // nobody has said anything: nothing is wrong
    this.become("waiting", 0);
    // What a connection was refused for, the browser does not tell; a request tells.
    const refused = await ask("v1/models").then(() => null, (error) => error);
    if (this.state !== "waiting") return;
    if (refused?.status === 401) {
      this.become("refused", refused.message);
      return this.settle("reject", refused);
    }
    const pause_s = PAUSES_S[Math.min(this.tries++, PAUSES_S.length - 1)];
    this.become("waiting", pause_s);
    this.timer = setTimeout(() => this.connect(), 1000 * pause_s);
  }

  become(state, detail) {
    this.state = state;
    this.changed(state, detail);
  }

  settle(how, value) {
    const callers = this.callers;
    this.callers = [];
    for (const caller of callers) caller[how](value);
  }
}
