"""When somebody begins and ends to speak."""

from typing import Any

import numpy as np
import pytest

from rapport.serve_apps.realtime.session_config import ServerVad
from rapport.serve_apps.realtime.turn_detection import Edge, TurnDetector


def all_edges(samples: np.ndarray, cut: int = 10**9, **settings: Any) -> list[Edge]:
    detector = TurnDetector(ServerVad.model_validate(settings))
    return [edge for start in range(0, len(samples), cut) for edge in detector.hear(samples[start : start + cut])]


def edges(samples: np.ndarray, **settings: Any) -> list[Edge]:
    return [edge for edge in all_edges(samples, **settings) if edge.kind in ("started", "stopped")]


def between(samples: np.ndarray, before_s: float = 0.5, after_s: float = 1.0) -> np.ndarray:
    return np.concatenate([np.zeros(round(before_s * 16_000)), samples, np.zeros(round(after_s * 16_000))]).astype(np.float32)


def test_a_turn_lies_where_the_voice_is(voice) -> None:
    started, stopped = edges(between(voice(1.0)))
    assert (started.kind, stopped.kind) == ("started", "stopped")
    assert started.sample == pytest.approx(8_000, abs=1_000)
    assert stopped.sample == pytest.approx(24_000, abs=2_000)


@pytest.mark.parametrize("cut", [7, 320, 1_600, 5_000])
def test_any_cutting_gives_the_same(voice, cut: int) -> None:
    sound = between(voice(1.0, 3))
    assert all_edges(sound, cut) == all_edges(sound)


def test_a_click_is_no_turn(voice) -> None:
    assert not edges(between(voice(0.05)))
    assert not edges(np.zeros(32_000, np.float32))


def test_a_short_pause_ends_no_turn(voice) -> None:
    sound = np.concatenate([between(voice(0.8), 0.2, 0.3), between(voice(0.8, 1), 0.0, 1.0)])
    assert len(edges(sound)) == 2
    assert len(edges(sound, silence_duration_ms=200)) == 4


def test_a_higher_threshold_wants_a_louder_voice(voice) -> None:
    sound = between(0.06 * voice(1.0))
    assert edges(sound, threshold=0.1)
    assert not edges(sound, threshold=1.0)


def test_a_pause_is_told_before_it_ends_a_turn(voice) -> None:
    sound = np.concatenate([between(voice(0.8), 0.2, 0.3), between(voice(0.8, 1), 0.0, 1.0)])
    started, paused, resumed, paused_again, stopped = all_edges(sound)
    assert [edge.kind for edge in (started, paused, resumed, paused_again, stopped)] == [
        "started",
        "paused",
        "resumed",
        "paused",
        "stopped",
    ]
    assert paused.sample < resumed.sample < paused_again.sample == stopped.sample
    assert [edge.kind for edge in all_edges(sound, silence_duration_ms=200)] == ["started", "stopped"] * 2, "no pause is left to be told"
