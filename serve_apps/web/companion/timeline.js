// The emotions of a conversation over its time: what the voice sounded like, moment by moment, and the turns of both sides below.

const SHORTEST_S = 30, KEPT = 2000, ROW = 30, AXIS = 20;

export class Timeline {
  constructor(canvas, colours) {
    Object.assign(this, { canvas, colours });
    this.clear();
  }

  clear() {
    Object.assign(this, { began_ms: performance.now(), looks: [], turns: [] });
    this.draw();
  }

  get now_s() {
    return (performance.now() - this.began_ms) / 1000;
  }

  // A stretch of the voice; of one that begins within the last, what is new.
  look(from_s, to_s, scores) {
    this.looks.push({ from_s: Math.max(from_s, this.looks.at(-1)?.to_s ?? 0), to_s, scores });
    if (this.looks.length > KEPT) this.looks.shift();
    this.draw();
  }

  // A turn: {role, from_s, to_s, emotion}, which may change until the next drawing.
  turn(role, length_s = 0) {
    const turn = { role, from_s: Math.max(0, this.now_s - length_s), to_s: this.now_s, emotion: null };
    this.turns.push(turn);
    if (this.turns.length > KEPT) this.turns.shift();
    return turn;
  }

  draw() {
    const { canvas, colours } = this, dots = devicePixelRatio || 1, wide = canvas.clientWidth, tall = canvas.clientHeight;
    if (!wide) return;
    canvas.width = Math.round(wide * dots);
    canvas.height = Math.round(tall * dots);
    const pen = canvas.getContext("2d"), style = getComputedStyle(canvas), left = 46;
    const paint = (name) => style.getPropertyValue(name).trim();
    const length_s = Math.max(SHORTEST_S, this.now_s), high = tall - 2 * ROW - AXIS;
    const x = (seconds) => left + seconds / length_s * (wide - left - 2);
    pen.setTransform(dots, 0, 0, dots, 0, 0);
    pen.font = "13px system-ui, sans-serif";
    pen.textBaseline = "middle";

    pen.strokeStyle = paint("--line");
    pen.strokeRect(left - 0.5, 0.5, wide - left - 1, high + 2 * ROW - 1);
    for (const { from_s, to_s, scores } of this.looks) {
      let top = high;
      for (const [name, score] of Object.entries(scores)) {
        pen.fillStyle = colours[name];
        pen.fillRect(x(from_s), top - score * high, Math.max(1, x(to_s) - x(from_s)), score * high);
        top -= score * high;
      }
    }
    pen.fillStyle = paint("--soft");
    pen.fillText("voice", 2, high / 2);
    for (const [row, role, label] of [[0, "user", "you"], [1, "assistant", "reply"]]) {
      const middle = high + (row + 0.5) * ROW;
      pen.strokeRect(left - 0.5, high + row * ROW + 0.5, wide - left - 1, ROW);
      pen.fillStyle = paint("--soft");
      pen.fillText(label, 2, middle);
      const own = this.turns.filter((turn) => turn.role === role);
      own.forEach((turn, i) => {
        const from = x(turn.from_s), to = Math.max(from + 3, x(turn.to_s)), free = (i + 1 < own.length ? x(own[i + 1].from_s) : wide) - from - 8;
        pen.fillStyle = colours[turn.emotion] ?? paint("--line");
        pen.fillRect(from, middle + 8, to - from, 5);
        pen.fillStyle = paint("--ink");
        const told = turn.emotion ?? "";
        if (pen.measureText(told).width <= free) pen.fillText(told, from, middle - 3);
      });
    }
    pen.fillStyle = paint("--soft");
    const step = [5, 10, 30, 60, 300, 600, 1800].find((seconds) => x(seconds) - left > 56) ?? 3600;
    for (let s = 0; s <= length_s; s += step) {
      const told = s < 60 ? `${s} s` : `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
      pen.textAlign = s ? "center" : "left";
      if (x(s) < wide - 14) pen.fillText(told, x(s), tall - AXIS / 2 + 2);
    }
    pen.textAlign = "left";
  }
}
