// Plays what comes in pieces without gaps, and knows how much of it was heard.

const LEAD_S = 0.06; // before the first piece, so that the next is there in time

export class Player {
  // busy(on) is told when something begins to sound, and when nothing does any more.
  constructor(rate_hz, busy) {
    Object.assign(this, { rate_hz, busy, context: null, pieces: [], next_s: 0 });
  }

  // Browsers let a page sound after a click or a key alone: to be called in one.
  wake() {
    this.context ??= new AudioContext({ sampleRate: this.rate_hz });
    if (this.context.state === "suspended") this.context.resume();
    return this.context;
  }

  // How much is still to be heard.
  get ahead_s() {
    return Math.max(0, this.next_s - (this.context?.currentTime ?? 0));
  }

  // PCM16 in base64, as the next piece of an item.
  add(item, base64) {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    const samples = Float32Array.from(new Int16Array(bytes.buffer), (value) => value / 32768);
    if (samples.length) this.play(item, samples);
  }

  // Samples from -1 to 1.
  play(item, samples) {
    const context = this.wake();
    const buffer = context.createBuffer(1, samples.length, this.rate_hz);
    buffer.copyToChannel(samples, 0);
    const source = context.createBufferSource();
    source.buffer = buffer;
    source.connect(context.destination);
    const start_s = this.next_s > context.currentTime ? this.next_s : context.currentTime + LEAD_S;
    this.next_s = start_s + buffer.duration;
    source.start(start_s);
    const piece = { item, source, start_s, duration_s: buffer.duration };
    if (!this.pieces.some((other) => !other.over)) this.busy(true);
    this.pieces = [...this.pieces.filter((other) => other.item === item || !other.over), piece];
    source.onended = () => {
      piece.over = true;
      if (this.pieces.every((other) => other.over)) this.busy(false);
    };
  }

  // Falls silent. What was playing, and how much of it was heard: {item, ms}; null where nothing was.
  stop() {
    const now = (this.context?.currentTime ?? 0) - (this.context?.outputLatency ?? 0);
    const current = this.pieces.find((piece) => !piece.over);
    if (!current) return null;
    const own = this.pieces.filter((piece) => piece.item === current.item);
    const heard_s = own.reduce((sum, piece) => sum + Math.min(piece.duration_s, Math.max(0, now - piece.start_s)), 0);
    for (const { source } of this.pieces) {
      source.onended = null;
      source.stop();
    }
    this.pieces = [];
    this.next_s = 0;
    this.busy(false);
    return { item: current.item, ms: Math.floor(1000 * heard_s) };
  }
}
