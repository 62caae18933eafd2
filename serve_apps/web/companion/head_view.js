// The listener's head on the page: takes poses as they come, and draws while it moves.

import { REST, drawHead, glided } from "./head_drawing.js";

const STILL_DEG = 0.02, DRAW_MS = 30;

export class HeadView {
  constructor(canvas, shape, tint) {
    Object.assign(this, { canvas, shape, tint, shown: REST, wanted: REST, drawn_ms: 0, drawing: false });
    this.draw();
  }

  take(frames) {
    this.wanted = frames.at(-1);
    this.move();
  }

  rest() {
    this.wanted = { ...REST, time_s: this.shown.time_s };
    this.move();
  }

  move() {
    if (this.drawing) return;
    this.drawing = true;
    const step = (now_ms) => {
      if (now_ms - this.drawn_ms >= DRAW_MS) {
        this.drawn_ms = now_ms;
        this.shown = glided(this.shown, this.wanted);
        this.draw();
      }
      this.drawing = ["roll", "pitch", "yaw"].some((name) => Math.abs(this.wanted[name] - this.shown[name]) > STILL_DEG);
      if (this.drawing) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  draw() {
    if (this.canvas.clientWidth) drawHead(this.canvas, this.shape, this.shown, this.tint);
  }
}
