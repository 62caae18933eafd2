# /// script
# requires-python = ">=3.11"
# dependencies = ["pipecat-ai==1.14.0", "fastapi", "uvicorn", "websockets", "webrtcvad-wheels"]
# ///
"""A voice agent as one builds it with pipecat: sound in over a WebSocket, voice detection, an answer, sound out. Its models are stubs.

    uv run --script benchmarks/peers/pipecat_voice.py --port 8700 --answer-s 0.05 --voice-s 0.02

Started by benchmarks/companion.py, in an environment of its own: pipecat wants other versions of soundfile and protobuf than Rapport.
Messages are bare samples, 16-bit: 16 kHz in, 24 kHz out. The voice detector is the one of Rapport, with the same pause.
"""

import argparse
import asyncio

import uvicorn
import webrtcvad
from fastapi import FastAPI, WebSocket
from loguru import logger
from pipecat.audio.vad.vad_analyzer import VADAnalyzer, VADParams
from pipecat.frames.frames import Frame, InputAudioRawFrame, OutputAudioRawFrame, TTSAudioRawFrame, VADUserStoppedSpeakingFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.audio.vad_processor import VADProcessor
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.serializers.base_serializer import FrameSerializer
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.workers.runner import WorkerRunner

IN_HZ, OUT_HZ = 16_000, 24_000


class Samples(FrameSerializer):
    """Messages are samples and nothing else."""

    async def serialize(self, frame: Frame) -> bytes | None:
        return frame.audio if isinstance(frame, OutputAudioRawFrame) else None

    async def deserialize(self, data: str | bytes) -> Frame | None:
        return InputAudioRawFrame(audio=data, sample_rate=IN_HZ, num_channels=1) if isinstance(data, bytes) else None


class WebRtcDetector(VADAnalyzer):
    """WebRTC's detector, frames of 20 ms."""

    def __init__(self, pause_s: float) -> None:
        super().__init__(sample_rate=IN_HZ, params=VADParams(confidence=0.5, start_secs=0.1, stop_secs=pause_s, min_volume=0.0))
        self._detector = webrtcvad.Vad(2)

    def num_frames_required(self) -> int:
        return IN_HZ // 50

    def voice_confidence(self, buffer: bytes) -> float:
        return float(any(buffer) and self._detector.is_speech(buffer, IN_HZ))


class StubAnswer(FrameProcessor):
    """Answers the end of speech with a second of sound."""

    def __init__(self, wait_s: float) -> None:
        super().__init__()
        self._wait_s = wait_s

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            return
        await self.push_frame(frame, direction)
        if isinstance(frame, VADUserStoppedSpeakingFrame) and direction is FrameDirection.DOWNSTREAM:
            await asyncio.sleep(self._wait_s)
            await self.push_frame(TTSAudioRawFrame(audio=b"\x10\x10" * OUT_HZ, sample_rate=OUT_HZ, num_channels=1))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--answer-s", type=float, required=True)
    parser.add_argument("--voice-s", type=float, required=True)
    parser.add_argument("--pause-s", type=float, default=0.5)
    options = parser.parse_args()
    logger.remove()
    app = FastAPI()

    @app.websocket("/talk")
    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        params = FastAPIWebsocketParams(audio_in_enabled=True, audio_out_enabled=True, serializer=Samples())
        transport = FastAPIWebsocketTransport(websocket=socket, params=params)
        stages = [VADProcessor(vad_analyzer=WebRtcDetector(options.pause_s)), StubAnswer(options.answer_s + options.voice_s)]
        worker = PipelineWorker(
            Pipeline([transport.input(), *stages, transport.output()]),
            params=PipelineParams(audio_in_sample_rate=IN_HZ, audio_out_sample_rate=OUT_HZ),
            enable_rtvi=False,
        )

        @transport.event_handler("on_client_disconnected")
        async def gone(*_: object) -> None:
            await worker.cancel()

        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(worker)
        await runner.run()

    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
