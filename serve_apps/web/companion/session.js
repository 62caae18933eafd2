// What the page says to the server, and what it shows of what the server says: the events of /v1/realtime.

const PAUSE_S = 1; // of silence, which ends a turn when the microphone is switched off in it
const RATE_HZ = 24000;
const UNASKED = new Set(["response_cancel_not_active", "item_not_found"]); // errors of messages that crossed with the server's own

export class Session {
  // `view` has what shows things: parts(there), feel(scores, emotion), latency(ms by step), problem(message).
  constructor({ connection, player, transcript, timeline, head, wishes, view }) {
    Object.assign(this, { connection, player, transcript, timeline, head, wishes, view });
    Object.assign(this, { parts: {}, marks: new Map(), cuts: new Map(), ear: null, written: 0 });
  }

  // ---- what the page says --------------------------------------------------------------------------------------------------------------

  append(pcm) {
    if (!this.connection.live) return;
    let bytes = "";
    for (const byte of new Uint8Array(pcm)) bytes += String.fromCharCode(byte);
    this.connection.send("input_audio_buffer.append", { audio: btoa(bytes) });
  }

  pause() {
    this.append(new ArrayBuffer(2 * PAUSE_S * RATE_HZ));
  }

  write(text) {
    const id = `item_written_${++this.written}`;
    this.hush();
    const turn = this.transcript.turn(id, "user");
    turn.write(text);
    turn.end();
    this.timeline.turn("user");
    this.connection.send("conversation.item.create", { item: { type: "message", role: "user", id, content: [{ type: "input_text", text }] } });
    this.connection.send("response.create");
  }

  // From here to `commit` all that is appended is one turn, whatever pauses it has.
  beginRecording() {
    this.hush();
    this.detectTurns(null);
    this.connection.send("input_audio_buffer.clear");
  }

  commit() {
    this.connection.send("input_audio_buffer.commit");
    if (this.parts.dialogue) this.connection.send("response.create");
    this.detectTurns({ type: "server_vad" });
  }

  dropRecording() {
    this.connection.send("input_audio_buffer.clear");
    this.detectTurns({ type: "server_vad" });
  }

  detectTurns(how) {
    this.connection.send("session.update", { session: { type: "realtime", audio: { input: { turn_detection: how } } } });
  }

  update() {
    this.connection.send("session.update", { session: this.wishes() });
  }

  // The reply ends here.
  hush() {
    this.breakOff();
    if (this.replying) this.connection.send("output_audio_buffer.clear");
  }

  // Falls silent, and tells the server how much of the reply was heard, where that is less than the server knows by itself.
  breakOff() {
    const heard = this.player.stop();
    if (!heard?.item) return;
    const mark = this.marks.get(heard.item);
    if (mark) mark.to_s = this.timeline.now_s;
    this.transcript.find(heard.item)?.note("broken off");
    setTimeout(() => {
      if (heard.ms >= (this.cuts.get(heard.item) ?? Infinity)) return;
      this.connection.send("conversation.item.truncate", { item_id: heard.item, content_index: 0, audio_end_ms: heard.ms });
    }, 200);
  }

  // The session is over.
  settle() {
    this.replying = false;
    this.transcript.settle();
    this.head.rest();
  }

  // ---- what the server says ------------------------------------------------------------------------------------------------------------

  take(event) {
    this[event.type]?.(event);
  }

  "session.created"({ session }) {
    this.parts = session.x_parts;
    this.marks.clear();
    this.cuts.clear();
    this.view.parts(this.parts);
    this.update();
    for (const item of this.transcript.messages()) this.connection.send("conversation.item.create", { item });
  }

  "input_audio_buffer.speech_started"({ item_id, audio_start_ms }) {
    this.breakOff();
    this.heardFrom(item_id);
    this.marks.get(item_id).start_ms = audio_start_ms;
  }

  "input_audio_buffer.speech_stopped"({ item_id }) {
    const mark = this.marks.get(item_id);
    if (mark) mark.to_s = Math.max(mark.from_s, this.timeline.now_s - 0.5);
  }

  "input_audio_buffer.committed"({ item_id }) {
    const turn = this.heardFrom(item_id);
    if (this.parts.transcription) return;
    turn.note("words are not written down here");
    turn.end();
  }

  "x_emotion.delta"({ item_id, emotion, scores, audio_start_ms, audio_end_ms, model, final }) {
    const turn = this.heardFrom(item_id), mark = this.marks.get(item_id);
    if (!final) this.ear = model; // who listens all along; who replies tells once what it has heard, and that is what the reply answers to
    const byEar = model === this.ear;
    if (scores && byEar) {
      this.view.feel(scores, emotion);
      mark.start_ms ??= audio_start_ms;
      const [from_s, to_s] = [audio_start_ms, audio_end_ms].map((ms) => mark.from_s + (ms - mark.start_ms) / 1000);
      if (!final) this.timeline.look(from_s, to_s, scores);
    }
    if (byEar && turn.answered) return turn.note(emotion === turn.emotion ? "" : `voice: ${emotion}`);
    turn.answered = !byEar;
    if (turn.answered && turn.emotion && turn.emotion !== emotion) turn.note(`voice: ${turn.emotion}`);
    turn.feel(emotion);
    mark.emotion = emotion;
    if (!final) mark.to_s = this.timeline.now_s;
  }

  "x_head_motion.delta"({ frames }) {
    this.head.take(frames);
  }

  "conversation.item.input_audio_transcription.delta"({ item_id, delta }) {
    this.transcript.find(item_id)?.say(delta);
  }

  "conversation.item.input_audio_transcription.completed"({ item_id, transcript }) {
    const turn = this.heardFrom(item_id);
    if (transcript) turn.write(transcript);
    else turn.note("no words");
    turn.end();
  }

  "conversation.item.input_audio_transcription.failed"({ item_id, error }) {
    const turn = this.heardFrom(item_id);
    turn.note(`no words: ${error.message}`);
    turn.end();
  }

  "response.created"() {
    this.replying = true;
  }

  "response.output_item.added"({ item }) {
    this.transcript.turn(item.id, "assistant");
    this.marks.set(item.id, this.timeline.turn("assistant"));
    this.feelReply(item);
  }

  "response.output_audio_transcript.delta"({ item_id, delta }) {
    this.transcript.find(item_id)?.say(delta);
  }

  "response.output_text.delta"({ item_id, delta }) {
    this.transcript.find(item_id)?.say(delta);
  }

  "response.output_audio.delta"({ item_id, delta }) {
    this.player.add(item_id, delta);
    const mark = this.marks.get(item_id);
    if (mark) mark.to_s = this.timeline.now_s + this.player.ahead_s;
  }

  "response.output_item.done"({ item }) {
    this.feelReply(item);
    this.transcript.find(item.id)?.end();
  }

  "response.done"({ response }) {
    this.replying = false;
    const [item] = response.output, turn = item && this.transcript.find(item.id);
    if (response.status === "failed") this.view.problem(`no reply: ${response.status_details.error.message}`);
    if (response.status === "cancelled") turn?.note("broken off");
    if (response.status === "incomplete") turn?.note("ended early: the longest answer is reached");
    this.view.latency(response.x_latency_ms);
    this.timeline.draw();
  }

  "conversation.item.truncated"({ item_id, audio_end_ms }) {
    this.cuts.set(item_id, audio_end_ms);
  }

  "error"({ error }) {
    if (!UNASKED.has(error.code) && error.code !== "session_idle") this.view.problem(error.message, error.code);
  }

  heardFrom(item_id) {
    if (!this.marks.has(item_id)) this.marks.set(item_id, this.timeline.turn("user"));
    return this.transcript.turn(item_id, "user");
  }

  feelReply({ id, x_emotion }) {
    if (!x_emotion) return;
    this.transcript.find(id)?.feel(x_emotion);
    this.marks.get(id).emotion = x_emotion;
  }
}
