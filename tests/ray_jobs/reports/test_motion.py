import base64
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile

from rapport.core.errors import RapportError
from rapport.ray_jobs.reports.motion import loudness, middle, motion_page, motion_table

RATE_HZ = 25
VOID = {"meta", "input", "br", "img", "path", "link"}


def motion(frames=50, seed=0):
    return np.random.default_rng(seed).normal(scale=4, size=(frames, 3)).cumsum(0) / 5


@pytest.fixture(scope="module")
def motions():
    return {"truth": motion(), "a <b>model</b>": motion(seed=1), "start": np.tile(motion()[:1], (48, 1))}


@pytest.fixture(scope="module")
def page(motions):
    samples = 0.5 * np.sin(np.arange(24_000) / 9).astype(np.float32)
    facts = {"emotion": "<neutral>", "MAE": "2.1°"}
    return motion_page("A </script> turn", motions, RATE_HZ, samples, facts)


def drawing(page):
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    return json.loads(data)


class Tags(HTMLParser):
    """Every start tag, and whether each is closed in its turn."""

    def __init__(self, page):
        super().__init__()
        self.open, self.seen, self.text = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_page_is_well_formed_and_needs_nothing_from_elsewhere(page):
    tags = Tags(page)
    assert tags.open == []
    sources = [value for _, attributes in tags.seen for name, value in attributes.items() if name in ("src", "href", "action", "poster")]
    assert len(sources) == 1
    assert sources[0].startswith("data:audio/wav;base64,")
    assert not re.search(r"@import|url\(|https?://|fetch\(|import\(", page)


def test_names_and_facts_cannot_break_out_of_the_page(page):
    assert "<b>model" not in page
    assert "<neutral>" not in page
    assert page.count("</script>") == 2


def test_page_holds_the_numbers_that_it_was_given(page, motions):
    held = drawing(page)
    assert held["rate_hz"] == RATE_HZ
    assert held["duration_s"] == 2.0
    assert [m["name"] for m in held["motions"]] == list(motions)
    for found, degrees in zip(held["motions"], motions.values(), strict=True):
        assert np.abs(np.transpose(found["degrees"]) - degrees).max() <= 0.5e-4 + 1e-12
    assert [r["name"] for r in held["rotations"]] == ["roll", "pitch", "yaw"]


def test_sound_is_the_speech_and_lasts_to_the_end_of_the_motion(page):
    (data,) = re.findall(r'src="data:audio/wav;base64,([^"]+)"', page)
    samples, rate_hz = soundfile.read(io.BytesIO(base64.b64decode(data)), dtype="float32")
    assert (len(samples), rate_hz) == (32_000, 16_000)
    assert samples[:24_000] == pytest.approx(0.5 * np.sin(np.arange(24_000) / 9), abs=1e-4)
    assert not samples[24_000:].any()


def test_every_control_has_a_name(page):
    tags = Tags(page)
    assert "aria-label" in next(attributes for tag, attributes in tags.seen if tag == "button")
    assert all("aria-label" in attributes or "aria-hidden" in attributes for tag, attributes in tags.seen if tag == "canvas")
    labelled = len(re.findall(r"<label[^>]*>(?:(?!</label>).)*<(?:input|select)", page, re.S))
    named = sum("aria-label" in attributes for tag, attributes in tags.seen if tag in ("input", "select"))
    assert labelled + named == sum(tag in ("input", "select") for tag, _ in tags.seen)


@pytest.mark.parametrize("count", [1, 4])
def test_one_to_four_motions_have_a_head_each_and_sound_is_optional(count):
    page = motion_page("x", {f"m{i}": motion(seed=i) for i in range(count)}, 30.0)
    assert page.count("data-motion=") == count
    assert "<audio" not in page
    assert drawing(page)["peaks"] is None
    assert ("distance to" in page) == (count > 1)


def test_heads_far_off_the_axis_are_shown_about_their_means():
    near, far = (motion_page("x", {"truth": motion() + offset}, 30) for offset in (0, (40, -27, -60)))
    assert not re.search(r'id="centre" checked', near)
    assert re.search(r'id="centre" checked', far)


def test_windows_are_offered_that_are_shorter_than_the_motion(page):
    assert re.findall(r'<option value="(\d+)"[^>]*>[^<]* s</option>', page) == []
    long = motion_page("x", {"truth": motion(25 * 40)}, RATE_HZ)
    assert re.findall(r'<option value="(\d+)"[^>]*>\d+ s</option>', long) == ["20", "10", "5", "2"]
    assert '<option value="10" selected>' in long


@pytest.mark.parametrize(
    ("motions", "rate_hz", "message"),
    [
        ({}, 30, "0 motions"),
        ({str(i): motion() for i in range(5)}, 30, "5 motions"),
        ({"m": motion()[:, :2]}, 30, r"'m' has shape \[50, 2\]"),
        ({"m": motion(0)}, 30, "T of at least 1"),
        ({"m": np.where(np.arange(50)[:, None] < 2, np.nan, motion())}, 30, "2 of 50 frames are not finite"),
        ({"m": motion()}, 0, "rate_hz is 0"),
    ],
)
def test_what_cannot_be_shown_is_refused(motions, rate_hz, message):
    with pytest.raises(RapportError, match=message):
        motion_page("x", motions, rate_hz)


def test_speech_that_is_not_finite_is_silent():
    samples = np.array([0.5, np.nan, np.inf, -np.inf, 0.25] * 400, np.float32)
    page = motion_page("x", {"m": motion()}, 30, samples)
    assert max(drawing(page)["peaks"]["values"]) == 1.0


def test_loudness_is_the_peak_of_each_stretch():
    samples = np.zeros(1000, np.float32)
    samples[[10, 700]] = (-0.25, 0.5)
    assert loudness(samples, 50).tolist() == [0.5, 0, 1.0, 0]
    assert loudness(np.zeros(0, np.float32), 50).tolist() == []


def test_mean_pose_may_lie_where_angles_wrap():
    assert middle(np.array([[179.0, 0, 10], [-179.0, 0, 20]])) == pytest.approx([-180, 0, 15])


def test_table_sums_a_motion_up():
    turning = np.zeros((31, 3))
    turning[:, 2] = np.arange(31)
    still = {"still": np.zeros((40, 3)), "turning": turning, "one": np.ones((1, 3))}
    first, second, third = motion_table(still, 30.0)
    assert (first["speed"], first["distance"]) == (0, None)
    assert second["speed"] == pytest.approx(30)
    assert second["distance"] == pytest.approx(15)
    assert second["mean"] == pytest.approx([0, 0, 15])
    assert second["spread"][2] == pytest.approx(np.arange(31).std())
    assert third["speed"] is None
