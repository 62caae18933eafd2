// Who has said what, and how: one item of a list for each turn. What is whole is also told to screen readers, once.

import { colours, textElement } from "./page.js";

const TOLD = 20; // turns kept for screen readers, and told to a new session
const NAMES = { user: "You", assistant: "Reply" };

export class Transcript {
  constructor(list, log) {
    Object.assign(this, { list, log, turns: new Map() });
  }

  // The turn of an item, which begins where there is none.
  turn(id, role) {
    if (!this.turns.has(id)) {
      this.turns.set(id, new Turn(role, (text) => this.tell(text)));
      this.list.append(this.turns.get(id).element);
      this.list.scrollTop = this.list.scrollHeight;
    }
    return this.turns.get(id);
  }

  find(id) {
    return this.turns.get(id);
  }

  // The session is over: what has not come by now never comes.
  settle() {
    for (const [id, turn] of this.turns) {
      if (turn.text) turn.end();
      else this.remove(id);
    }
  }

  remove(id) {
    this.turns.get(id)?.element.remove();
    this.turns.delete(id);
  }

  clear() {
    for (const id of [...this.turns.keys()]) this.remove(id);
    this.log.replaceChildren();
  }

  // What was said, for a session that has not heard it.
  messages() {
    return [...this.turns.values()].filter((turn) => turn.text).slice(-TOLD).map(({ role, text, emotion }) => ({
      type: "message", role, content: [{ type: role === "user" ? "input_text" : "output_text", text }], ...(emotion ? { x_emotion: emotion } : {}),
    }));
  }

  tell(text) {
    this.log.append(textElement("p", text));
    if (this.log.children.length > TOLD) this.log.firstChild.remove();
  }
}

class Turn {
  constructor(role, tell) {
    Object.assign(this, { role, tell, text: "", emotion: null, ended: false });
    this.element = textElement("li", "", `turn ${role}`);
    this.swatch = textElement("span", "", "swatch");
    this.swatch.setAttribute("aria-hidden", "true");
    this.feeling = textElement("span", "", "emotion");
    this.remark = textElement("span", "", "remark");
    this.words = textElement("p", "", "words writing");
    const head = textElement("p", "", "who");
    head.append(this.swatch, textElement("span", NAMES[role]), this.feeling, this.remark);
    this.element.append(head, this.words);
  }

  say(more) {
    this.write(this.text + more);
  }

  write(text) {
    this.text = text;
    this.words.textContent = text;
    this.element.scrollIntoView({ block: "nearest" });
  }

  feel(emotion) {
    this.emotion = emotion;
    this.feeling.textContent = emotion;
    this.swatch.style.background = this.element.style.borderLeftColor = colours[emotion];
  }

  note(text) {
    this.remark.textContent = text;
  }

  end() {
    this.words.classList.remove("writing");
    if (this.ended) return;
    this.ended = true;
    this.tell(`${NAMES[this.role]}${this.emotion ? `, ${this.emotion}` : ""}: ${this.text || this.remark.textContent}`);
  }
}
