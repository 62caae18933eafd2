// Which parts the server has, and how to get those that it has not.

import { textElement } from "./page.js";

const PARTS = {
  emotion: ["emotion of your voice", "trained by", "make quickstart"],
  transcription: ["your words", "added with", "--transcriber.engine pocketsphinx"],
  dialogue: ["replies", "trained by", "make emosds"],
  voice: ["a voice for replies", "added with", "--voice.engine espeak"],
  head_motion: ["the listener's head", "trained by", "make listener"],
};

// What a list of models tells of the parts; whether the dialogue model replies, a session alone tells.
export function partsOf(models) {
  const any = (test) => models.some(test);
  return {
    emotion: any((model) => model.window_s), transcription: any((model) => model.id === "asr" || (model.emotions && !model.window_s && !model.emotions_canonical)),
    dialogue: any((model) => model.emotions && !model.window_s && !model.emotions_canonical), voice: any((model) => model.voices), head_motion: any((model) => model.streams),
  };
}

export function drawParts(list, parts) {
  list.replaceChildren(...Object.entries(PARTS).map(([name, [what, how, command]]) => {
    const item = textElement("li", "", parts[name] ? "there" : "missing");
    item.append(textElement("span", parts[name] ? "✓" : "–", "mark"), parts[name] ? what : `no ${what.replace(/^(a|the) /, "")}: ${how} `);
    if (!parts[name]) item.append(textElement("code", command));
    return item;
  }));
}
