// Runs on the audio thread: collects what the microphone hears into pieces of PCM16, at another rate where one is wanted, and hands them
// to the page.

const LOBES = 24, FINE = 64; // of the filter: its length on each side, and how many values of it are known between two samples

class Resampler {
  constructor(from, to) {
    this.step = from / to;
    const wide = Math.max(1, this.step) / 0.95; // of a lobe, in samples: what the new rate cannot hold is filtered out
    this.reach = Math.ceil(LOBES * wide);
    this.filter = Float32Array.from({ length: this.reach * FINE + 2 }, (_, i) => {
      const x = i / FINE, angle = Math.PI * x / wide;
      return x < this.reach ? (x ? Math.sin(angle) / angle : 1) / wide * (0.5 + 0.5 * Math.cos(Math.PI * x / this.reach)) : 0;
    });
    this.held = new Float32Array(this.reach);
    this.at = this.reach; // where in what is held the next sample lies
  }

  push(values) {
    const known = new Float32Array(this.held.length + values.length), made = [];
    known.set(this.held);
    known.set(values, this.held.length);
    for (; this.at + this.reach < known.length; this.at += this.step) {
      let sum = 0;
      for (let i = Math.ceil(this.at - this.reach); i <= this.at + this.reach; i++) {
        const x = Math.abs(i - this.at) * FINE, k = Math.trunc(x);
        sum += known[i] * (this.filter[k] + (x - k) * (this.filter[k + 1] - this.filter[k]));
      }
      made.push(sum);
    }
    const gone = Math.max(0, Math.floor(this.at) - this.reach);
    this.held = known.slice(gone);
    this.at -= gone;
    return made;
  }
}

class Collector extends AudioWorkletProcessor {
  constructor({ processorOptions: { samples, rate } }) {
    super();
    this.piece = new Int16Array(samples);
    this.filled = 0;
    this.peak = 0;
    this.resampler = rate === sampleRate ? null : new Resampler(sampleRate, rate);
  }

  process([[channel]]) {
    if (!channel) return true;
    for (const value of this.resampler ? this.resampler.push(channel) : channel) {
      this.piece[this.filled++] = Math.max(-32768, Math.min(32767, Math.round(value * 32768)));
      this.peak = Math.max(this.peak, Math.abs(value));
      if (this.filled < this.piece.length) continue;
      this.port.postMessage({ pcm: this.piece.slice().buffer, peak: this.peak });
      this.filled = this.peak = 0;
    }
    return true;
  }
}
registerProcessor("collector", Collector);
