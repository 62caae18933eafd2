// Runs on the audio thread: collects what the microphone hears into pieces of PCM16, and hands them to the page.
class Collector extends AudioWorkletProcessor {
  constructor(options) {
    super();
    this.piece = new Int16Array(options.processorOptions.samples);
    this.filled = 0;
    this.peak = 0;
  }

  process([[channel]]) {
    for (const value of channel ?? []) {
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
