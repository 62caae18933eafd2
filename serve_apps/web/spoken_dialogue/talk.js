import { events } from "./events.js";
import { $, ask, colours, fail, onKey, request, show, textElement } from "./page.js";
import { takeRecordings } from "./recording.js";

const history = []; // the conversation so far, as the server wants it back
let talking = null; // what stops the answer that is under way
let lastTake = null; // the last recording, sent again once a key is given

async function answer(blob, name) {
  talking?.abort();
  const stop = new AbortController();
  talking = stop;
  lastTake = [blob, name];
  show("error", false);
  show("busy", true);
  const user = addTurn("user", "You", blob);
  const reply = addTurn("assistant", "Reply");
  try {
    await converse(await dataUrl(blob), user, reply, stop.signal);
  } catch (error) {
    const unfinished = user.transcript === undefined;
    if (unfinished) user.item.remove();
    if (unfinished) reply.item.remove();
    if (!stop.signal.aborted) fail(error.message);
  } finally {
    user.write(false);
    reply.write(false);
    if (talking === stop) {
      talking = null;
      show("busy", false);
    }
  }
}

async function converse(recording, user, reply, signal) {
  const spoken = { role: "user", content: [{ type: "input_audio", input_audio: { data: recording } }] };
  const asked = {
    messages: [...history, spoken], stream: true, modalities: ["text", "audio"], audio: { voice: $("voice").value || undefined, format: "wav" },
  };
  const response = await request("v1/chat/completions", {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(asked), signal,
  });
  const sound = [];
  for await (const event of events(response.body)) {
    if (event.error) throw new Error(event.error.message);
    const delta = event.choices[0]?.delta ?? {};
    if (event.x_emotion?.user) user.feel(event.x_emotion.user);
    if (event.x_emotion?.reply) reply.feel(event.x_emotion.reply);
    if (event.x_transcript_delta) user.say(event.x_transcript_delta);
    if (delta.content) reply.say(delta.content);
    if (delta.audio?.data) sound.push(Uint8Array.from(atob(delta.audio.data), (c) => c.charCodeAt(0)));
    if (event.choices[0]?.finish_reason) {
      user.transcript = event.x_transcript;
      history.push({ role: "user", content: event.x_transcript, x_emotion: event.x_emotion.user });
      history.push({ role: "assistant", content: reply.words.textContent, x_emotion: event.x_emotion.reply });
      show("anew", true);
    }
  }
  if (sound.length) reply.play(new Blob(sound, { type: "audio/wav" }), $("aloud").checked);
}

function addTurn(kind, who, blob) {
  const item = textElement("li", "", `turn ${kind}`);
  const head = textElement("p", "", "who");
  const swatch = textElement("span", "", "swatch");
  const emotion = textElement("span", "", "emotion");
  const words = textElement("p", "", "words writing");
  swatch.setAttribute("aria-hidden", "true");
  head.append(swatch, textElement("span", who), emotion);
  item.append(head, words);
  $("turns").append(item);
  const play = (sound, aloud) => {
    const player = document.createElement("audio");
    player.controls = true;
    player.src = URL.createObjectURL(sound);
    item.append(player);
    if (aloud) player.play().catch(() => player.focus()); // a browser may want a click first
  };
  if (blob) play(blob, false);
  item.scrollIntoView({ block: "nearest" });
  return {
    item, words, play,
    say: (text) => words.append(text),
    feel: (name) => {
      emotion.textContent = name;
      swatch.style.background = item.style.borderLeftColor = colours[name];
    },
    write: (on) => words.classList.toggle("writing", on),
  };
}

const dataUrl = (blob) => new Promise((resolve, reject) => {
  const reader = new FileReader();
  reader.onload = () => resolve(reader.result);
  reader.onerror = () => reject(new Error(`the recording cannot be read: ${reader.error?.message}`));
  reader.readAsDataURL(blob);
});

async function introduce() {
  try {
    const models = (await ask("v1/models")).data;
    const [dialogue] = models;
    const voices = models.find((model) => model.voices)?.voices ?? [];
    $("facts").textContent = `Model “${dialogue.id}”: ${dialogue.emotions.join(", ")}.`;
    $("voice").replaceChildren(...voices.map((name) => textElement("option", name)));
  } catch (error) {
    fail(error.message);
  }
}

takeRecordings(answer);
onKey(() => {
  introduce();
  if (lastTake) answer(...lastTake);
});
$("anew").addEventListener("click", () => {
  talking?.abort();
  history.length = 0;
  $("turns").replaceChildren();
  show("anew", false);
});
introduce();
