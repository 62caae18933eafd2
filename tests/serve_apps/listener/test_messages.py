import pytest

from rapport.core.pose import PoseFrame
from rapport.serve_apps.http.errors import ApiError, busy
from rapport.serve_apps.listener.messages import Ack, close_code, error_message, poses_message, read_message, read_start


def test_a_start_has_defaults() -> None:
    start = read_start('{"type": "start"}')
    assert (start.sample_rate_hz, start.rate_hz, start.seed, start.token) == (16_000, None, None, None)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"type": "start", "sample_rate_hz": 12345}', "sample_rate_hz is 12345"),
        ('{"type": "start", "rate_hz": 120}', "rate_hz"),
        ('{"type": "start", "seed": -1}', "seed"),
        ('{"type": "start", "speed": 2}', "speed"),
        ('{"type": "start", "token": "x", "seed": 1}', "seed beside a token"),
        ('{"type": "state"}', "type"),
        ("hello", "JSON"),
        ("[]", "type start"),
        ("", "JSON"),
    ],
)
def test_a_start_that_cannot_be_is_told_by_name(text: str, told: str) -> None:
    with pytest.raises(ApiError, match=told) as caught:
        read_start(text)
    assert caught.value.status == 400
    assert caught.value.code == "invalid_message"


@pytest.mark.parametrize(
    "text", ['{"type": "ack"}', '{"type": "ack", "time_s": NaN}', '{"type": "dance"}', '{"type": "ping", "n": 1}', "{"]
)
def test_later_messages_are_checked_too(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        read_message(text)
    assert caught.value.code == "invalid_message"


def test_later_messages_are_read() -> None:
    assert read_message('{"type": "ack", "time_s": 1.5}') == Ack(type="ack", time_s=1.5)
    assert read_message('{"type": "finish"}').type == "finish"


def test_poses_are_told_with_their_names() -> None:
    message = poses_message([PoseFrame(1 / 30, 1.23456789, -2, 0)], missed_s=0.5)
    assert message == {"type": "poses", "frames": [{"time_s": 0.033333, "roll": 1.234568, "pitch": -2, "yaw": 0}], "missed_s": 0.5}


def test_a_full_server_says_when_to_come_back() -> None:
    error = busy("full", 2)
    assert error_message(error)["retry_after_s"] == 2
    assert error_message(error)["error"]["type"] == "rate_limit_error"
    assert close_code(error) == 1013
    assert "retry_after_s" not in error_message(ApiError(400, "no"))
