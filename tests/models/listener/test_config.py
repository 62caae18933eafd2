import pytest
from pydantic import ValidationError

from rapport.models.listener.config import ListenerConfig


def test_the_default_streams_and_counts_its_latency() -> None:
    config = ListenerConfig.model_validate({"network": {"tcn": {"look_ahead_frames": 6}}, "smoothing": {"kind": "none"}})
    assert config.streams
    assert config.latency_s == pytest.approx(0.2)
    smooth = config.model_copy(update={"smoothing": ListenerConfig().smoothing})
    assert 0.2 < smooth.latency_s < 0.3


@pytest.mark.parametrize(
    "settings",
    [
        {"network": {"kind": "faithful"}, "head": {"kind": "point"}},
        {"network": {"kind": "lstm"}, "head": {"kind": "point"}},
        {"front_end": {"kind": "egemaps"}},
    ],
)
def test_what_needs_the_whole_recording_does_not_stream(settings: dict[str, object]) -> None:
    assert not ListenerConfig.model_validate(settings).streams


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"network": {"kind": "faithful"}}, "set head.kind to point"),
        ({"network": {"tcn": {"dilations": ()}}}, "dilations"),
        ({"network": {"tcn": {"dilations": (1, 0)}}}, "dilations"),
        ({"limits": {"angles_deg": (10, 0, 10)}}, "angles_deg"),
        ({"front_end": {"frame_rate_hz": 10}}, "frame_rate_hz"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ListenerConfig.model_validate(settings)
