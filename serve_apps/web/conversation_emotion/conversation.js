import { events } from "./events.js";
import { $, ask, colours, fail, onKey, request, show, textElement } from "./page.js";

const SHOWN = 3; // labels named beside the first
let models = []; // what this server has
let asking = null; // what stops the answer that is under way

async function judge() {
  asking?.abort();
  const stop = new AbortController();
  asking = stop;
  show("error", false);
  show("busy", true);
  try {
    const dialogue = { turns: pairs("lines").map(([speaker, text]) => ({ speaker, text })), scene: $("scene").value.trim() || undefined };
    dialogue.personas = Object.fromEntries(pairs("people"));
    const asked = { dialogues: [dialogue], model: $("model").value || undefined, rationale: $("reasons").checked, stream: true };
    const response = await request("v1/dialogues/emotions", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(asked), signal: stop.signal,
    });
    const turns = dialogue.turns.map((turn) => new Turn(turn));
    $("turns").replaceChildren(...turns.map((turn) => turn.item));
    for await (const event of events(response.body)) {
      if (event.error) throw new Error(event.error.message);
      const turn = turns[event.turn];
      if (event.result) turn.feel(event.result, asked.rationale);
      if (event.rationale_delta) turn.say(event.rationale_delta);
      if (event.rationale !== undefined) turn.close(event);
    }
  } catch (error) {
    if (!stop.signal.aborted) fail(error.message);
  } finally {
    if (asking === stop) {
      asking = null;
      show("busy", false);
      for (const reasons of document.querySelectorAll(".writing")) reasons.classList.remove("writing");
    }
  }
}

// [name, text] of every line of a text field that has any.
function pairs(id) {
  return $(id).value.split("\n").filter((line) => line.trim()).map((line) => {
    const [, name, text] = line.match(/^\s*([^:]{1,100}?)\s*:\s*(\S.*)$/) ?? [];
    if (!name) throw new Error(`“${line.trim().slice(0, 60)}” tells no name: wanted “Name: words”`);
    return [name, text];
  });
}

class Turn {
  constructor({ speaker, text }) {
    this.item = textElement("li", "", "turn");
    this.emotion = textElement("span", "", "emotion");
    const who = textElement("p", "", "who");
    who.append(textElement("span", speaker), this.emotion);
    this.item.append(who, textElement("p", text, "words"));
    this.reasons = textElement("p", "", "reasons writing");
  }

  feel({ emotion, scores }, reasons) {
    this.felt = emotion;
    this.emotion.textContent = `${emotion} ${percent(scores[emotion])}`;
    this.item.style.borderLeftColor = colour(emotion);
    const shares = textElement("div", "", "shares");
    const sorted = Object.entries(scores).sort((a, b) => b[1] - a[1]);
    shares.setAttribute("aria-hidden", "true");
    shares.append(...sorted.map(([label, score]) => {
      const share = textElement("span", "");
      share.style.width = `${100 * score}%`;
      share.style.background = colour(label);
      share.title = `${label} ${percent(score)}`;
      return share;
    }));
    const others = sorted.slice(1, 1 + SHOWN).map(([label, score]) => `${label} ${percent(score)}`);
    this.item.append(shares, textElement("p", others.join(" · "), "others"));
    if (reasons) this.item.append(this.reasons);
  }

  say(text) {
    this.reasons.append(text);
  }

  close({ rationale, rationale_emotion }) {
    this.reasons.classList.remove("writing");
    this.reasons.textContent = rationale || "No reasons came.";
    if (rationale_emotion !== this.felt) {
      this.reasons.append(textElement("em", rationale_emotion ? ` These reasons speak for ${rationale_emotion}.` : " These reasons name no emotion.", "soft"));
    }
  }
}

// Labels as the corpus of the model writes them, in the colours of the vocabulary that all models share.
function colour(label) {
  const model = models.find(({ id }) => id === $("model").value);
  return colours[model?.emotions_canonical[model.emotions.indexOf(label)]] ?? "var(--soft)";
}
const percent = (value) => `${Math.round(value * 100)} %`;

async function introduce() {
  try {
    models = (await ask("v1/models")).data;
    $("model").replaceChildren(...models.map((model) => textElement("option", model.id)));
    show("model-choice", models.length > 1);
    tellModel();
  } catch (error) {
    fail(error.message);
  }
}

function tellModel() {
  const model = models.find(({ id }) => id === $("model").value);
  $("facts").textContent = `Model “${model.id}”: ${model.emotions.join(", ")}.`;
}

$("model").addEventListener("change", tellModel);
$("input").addEventListener("submit", (event) => {
  event.preventDefault();
  judge();
});
onKey(() => {
  introduce();
  judge();
});
introduce();
