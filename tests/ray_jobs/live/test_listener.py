"""What the live mode hears, sees and says, with models that tell what they were given."""

import threading
import time

import numpy as np
import pytest

from rapport.ray_jobs.live.listener import Listener, ListenerConfig, Moment, Said, smooth

RATE_HZ = 16_000


def speech(seconds: float, pitch_hz: float = 140.0, level: float = 0.3) -> np.ndarray:
    """A buzz that a voice detector takes for a vowel."""
    phase = 2 * np.pi * pitch_hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    harmonics = np.sum([np.sin(k * phase) / k for k in range(1, 20)], axis=0)
    return (level * harmonics / 2).astype(np.float32)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * RATE_HZ), np.float32)


class Recorder:
    """A model that keeps what it was given: happy is the level of the samples."""

    def __init__(self, delay_s: float = 0.0) -> None:
        self.given: list[np.ndarray] = []
        self.delay_s = delay_s
        self.thread: threading.Thread | None = None

    def __call__(self, samples: np.ndarray) -> dict[str, float]:
        self.given.append(samples)
        self.thread = threading.current_thread()
        time.sleep(self.delay_s)
        happy = float(min(1.0, np.abs(samples).max()))
        return {"happy": happy, "sad": 1 - happy}


def hear(sound: np.ndarray, model: Recorder, *, window_s: float = 2.0, transcribe=None, **settings: float) -> list[Moment | Said]:
    listener = Listener(model, window_s, ListenerConfig(**settings), transcribe, lossless=True)
    listener.start()
    for first in range(0, len(sound), 480):
        listener.feed(sound[first : first + 480])
    listener.close()
    return listener.take_events()


def moments_of(events: list[Moment | Said]) -> list[Moment]:
    return [event for event in events if isinstance(event, Moment)]


def test_every_look_takes_in_the_whole_last_window() -> None:
    # The original classified the oldest second of its five. Here each window is exactly the last two seconds, newest sample included.
    sound = speech(6.0) * np.linspace(0.3, 1, 6 * RATE_HZ, dtype=np.float32)
    model = Recorder()
    moments = moments_of(hear(sound, model, hop_s=0.5, pause_s=5))
    assert [m.end_s for m in moments] == [0.5 * k for k in range(1, 13)]
    for moment in moments[4:]:
        assert moment.end_s - moment.start_s == 2.0
    looks = [given for given in model.given if len(given) <= 2 * RATE_HZ]
    assert len(looks) == 12
    for moment, given in zip(moments, looks, strict=True):
        np.testing.assert_array_equal(given, sound[round(moment.start_s * RATE_HZ) : round(moment.end_s * RATE_HZ)])


def test_windows_overlap_so_that_each_sample_is_seen_more_than_once() -> None:
    moments = moments_of(hear(speech(5.0), Recorder(), hop_s=0.5))
    seen = np.zeros(5 * RATE_HZ, int)
    for moment in moments:
        seen[round(moment.start_s * RATE_HZ) : round(moment.end_s * RATE_HZ)] += 1
    assert seen.min() >= 1
    assert np.median(seen) == 4


def test_the_end_is_looked_at_though_no_hop_is_due() -> None:
    moments = moments_of(hear(speech(1.3), Recorder(), hop_s=0.5))
    assert [m.end_s for m in moments] == [0.5, 1.0, pytest.approx(1.3)]


def test_silence_is_told_as_silence_and_costs_no_computation() -> None:
    model = Recorder()
    moments = moments_of(hear(silence(3.0), model))
    assert all(m.scores is None and m.smoothed is None and m.voice_s == 0 for m in moments)
    assert not model.given


def test_hum_below_the_silence_level_is_no_voice() -> None:
    assert all(m.scores is None for m in moments_of(hear(speech(2.0, level=0.0005), Recorder())))


def test_probabilities_are_smoothed_exponentially() -> None:
    moments = moments_of(hear(speech(4.0) * np.linspace(0.2, 1, 4 * RATE_HZ, dtype=np.float32), Recorder(), hop_s=0.5, smoothing_s=1.0))
    weight = 1 - np.exp(-0.5)
    held = moments[0].scores
    assert held is not None
    for moment in moments:
        assert moment.scores is not None
        assert moment.smoothed is not None
        expected = held["happy"] + weight * (moment.scores["happy"] - held["happy"])
        assert moment.smoothed["happy"] == pytest.approx(expected)
        assert sum(moment.smoothed.values()) == pytest.approx(1)
        held = moment.smoothed


def test_silence_forgets_the_smoothed_past() -> None:
    past, now = {"happy": 1.0, "sad": 0.0}, {"happy": 0.0, "sad": 1.0}
    assert smooth(past, None, 0.5, 1.0) is None
    assert smooth(None, now, 0.5, 1.0) == now
    assert smooth(past, now, 0.5, 0.0) == now


def test_a_pause_ends_an_utterance_and_its_words_come_with_its_emotion() -> None:
    sound = np.concatenate([silence(0.5), speech(1.2), silence(1.0), speech(0.9, 200), silence(1.0)])
    said = [e for e in hear(sound, Recorder(), transcribe=lambda samples: f"{len(samples) / RATE_HZ:.1f} s") if isinstance(e, Said)]
    assert len(said) == 2
    for utterance, (start_s, end_s) in zip(said, [(0.5, 1.7), (2.7, 3.6)], strict=True):
        assert utterance.start_s == pytest.approx(start_s, abs=0.35)
        assert utterance.end_s == pytest.approx(end_s, abs=0.35)
        assert utterance.text == f"{utterance.end_s - utterance.start_s:.1f} s"
        assert set(utterance.scores) == {"happy", "sad"}


def test_an_utterance_without_end_is_cut() -> None:
    said = [e for e in hear(speech(5.0), Recorder(), max_utterance_s=2.0) if isinstance(e, Said)]
    assert len(said) >= 2
    assert all(e.end_s - e.start_s < 2.5 for e in said)
    assert said[0].text is None, "without a transcriber there are no words"


def test_a_slow_model_holds_up_neither_the_microphone_nor_the_display() -> None:
    model = Recorder(delay_s=0.15)
    listener = Listener(model, 1.0, ListenerConfig(hop_s=0.05))
    listener.start()
    sound = speech(2.0)
    slowest_s = 0.0
    for first in range(0, len(sound), 480):
        began_s = time.monotonic()
        listener.feed(sound[first : first + 480])
        listener.take_events()
        listener.recent(1.0)
        slowest_s = max(slowest_s, time.monotonic() - began_s)
        time.sleep(0.005)
    listener.close()
    assert slowest_s < 0.1, "feeding waited for the model"
    assert listener.skipped > 0, "looks that nobody waits for any more are left out"
    assert model.thread is not threading.main_thread()


def test_what_breaks_while_thinking_is_told() -> None:
    def broken(samples: np.ndarray) -> dict[str, float]:
        raise ValueError("no such model")

    listener = Listener(broken, 1.0, ListenerConfig(), lossless=True)
    listener.start()
    with pytest.raises(ValueError, match="no such model"):  # noqa: PT012 - whichever call comes first after the failure
        for _ in range(100):
            listener.feed(speech(0.1))
            listener.take_events()
        listener.close()


def test_memory_of_a_long_session_is_bounded() -> None:
    listener = Listener(Recorder(), 1.0, ListenerConfig(hop_s=5), lossless=True)
    listener.start()
    block = silence(1.0)
    for _ in range(120):
        listener.feed(block)
    assert len(listener.recent(1000)) <= 34 * RATE_HZ
    listener.close()
