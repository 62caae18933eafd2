"""What the reference says of the companion as a whole; events of a WebSocket have no other place in it."""

DESCRIPTION = """
Speak, and be answered: the emotion that is heard, the words, a spoken reply with an emotion of its own, and a listener's head that moves.
All models answer here, in the shapes of OpenAI; the stock `openai` client works with this server's address as `base_url`.

    curl -s -F file=@clip.wav http://127.0.0.1:8000/v1/audio/emotions
    curl -s -F file=@clip.wav http://127.0.0.1:8000/v1/audio/head-motion

**Conversations as they are spoken** go to a WebSocket at `/v1/realtime`, with the events of OpenAI's Realtime interface: 24 kHz, 16-bit
little-endian samples, one channel, in base64, both ways.

| the client sends | |
|---|---|
| `session.update` | voice, turn detection, modalities, transcription; `x_emotion` and `x_head_motion` too |
| `input_audio_buffer.append` `commit` `clear` | the user's voice; the server tells turns apart unless `turn_detection` is null |
| `conversation.item.create` `retrieve` `truncate` `delete` | messages; one in writing is read to the model by the voice |
| `response.create` `response.cancel` | a reply, or its end |

| the server sends besides what OpenAI's does | |
|---|---|
| `x_emotion.delta` | `emotion` and `scores` of a turn, every half second while it is spoken, and with `final` of the whole |
| `x_head_motion.delta` | `frames` of `time_s`, `roll`, `pitch` and `yaw` in degrees, 25 to 60 a second |
| `response.done` | `x_latency_ms` from the end of speech to each step of the reply, in its `metadata` too |

Every error is an OpenAI error object, or an `error` event after which the session goes on.
"""
