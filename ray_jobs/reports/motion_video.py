"""Head motion as a film: the heads and traces of the page, frame by frame, as MP4 with its sound or as GIF without."""

import io
import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

import matplotlib
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageColor, ImageDraw, ImageFont

from rapport.core.audio import SAMPLE_RATE_HZ, to_pcm16
from rapport.core.errors import RapportError
from rapport.core.head import draw_head
from rapport.core.pose import ROTATIONS, resample, unwrap
from rapport.ray_jobs.reports.motion import LIGHT_COLOURS, FloatArray, checked, motion_duration_s, padded

if TYPE_CHECKING:
    import av

_INK, _SOFT, _LINE, _PAPER = "#1b2330", "#566072", "#dde2e9", "#ffffff"
_ENCODER = "libx264"
# Lines are drawn so many times larger and scaled down, which smooths them.
_FINE = 2


def motion_mp4(
    motions: Mapping[str, npt.ArrayLike],
    rate_hz: float,
    samples: npt.NDArray[np.float32] | None = None,
    *,
    title: str = "",
    frames_per_s: int = 25,
    head_px: int = 256,
) -> bytes:
    """An MP4 (H.264, AAC) of one to four motions side by side, with the speech `samples` [S] at 16 kHz that they answer.

    `motions` is that of `motion_page`; the film runs at `frames_per_s`, whatever their rate; `head_px` is the width of a head.
    Raises RapportError where there are no such motions, or where FFmpeg has no H.264 encoder.
    """
    import av

    try:
        av.codec.Codec(_ENCODER, "w")
    except ValueError as error:
        wanted = "install the wheel of PyAV from PyPI, which has it, or write a GIF with motion_gif"
        raise RapportError(f"the FFmpeg of PyAV {av.__version__} has no encoder {_ENCODER}: {wanted}") from error
    film = _Film(checked(motions, rate_hz), rate_hz, samples, title, head_px)
    sink = io.BytesIO()
    with av.open(sink, mode="w", format="mp4") as file:
        video = cast("av.VideoStream", file.add_stream(_ENCODER, rate=Fraction(frames_per_s), options={"crf": "20", "preset": "veryfast"}))
        video.width, video.height, video.pix_fmt = film.width, film.height, "yuv420p"
        sound = None if samples is None else file.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="mono")
        pcm = None if samples is None else to_pcm16(padded(samples, film.duration_s))
        for i, picture in enumerate(film.frames(frames_per_s)):
            file.mux(video.encode(av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")))
            if sound is not None and pcm is not None:
                # Turn by turn, so that a player finds picture and sound of a moment side by side in the file.
                first, end = (n * SAMPLE_RATE_HZ // frames_per_s for n in (i, i + 1))
                part = av.AudioFrame.from_ndarray(pcm[None, first:end], format="s16", layout="mono")
                part.sample_rate, part.pts = SAMPLE_RATE_HZ, first
                file.mux(sound.encode(part))
        file.mux(video.encode())
        if sound is not None:
            file.mux(sound.encode())
    return sink.getvalue()


def motion_gif(
    motions: Mapping[str, npt.ArrayLike],
    rate_hz: float,
    *,
    title: str = "",
    frames_per_s: float = 12.5,
    head_px: int = 176,
) -> bytes:
    """A GIF, without end and without sound, of what `motion_mp4` shows. A frame stays for whole hundredths of a second, so that
    `frames_per_s` is met as nearly as the format can, and the motion keeps its pace. Raises RapportError where there are no such motions.
    """
    wait_ms = 10 * max(2, round(100 / frames_per_s))
    film = _Film(checked(motions, rate_hz), rate_hz, None, title, head_px)
    pictures = film.frames(Fraction(1000, wait_ms))
    first = next(pictures)
    # One palette for all frames, so that no surface flickers.
    palette = first.quantize(255, method=Image.Quantize.MEDIANCUT)
    sink = io.BytesIO()
    first.quantize(palette=palette, dither=Image.Dither.NONE).save(
        sink,
        format="GIF",
        save_all=True,
        append_images=(picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures),
        duration=wait_ms,
        loop=0,
    )
    return sink.getvalue()


class _Film:
    """The layout: a row of heads with names and angles, and below it a strip of each angle over the whole time."""

    def __init__(
        self,
        motions: dict[str, FloatArray],
        rate_hz: float,
        samples: npt.NDArray[np.float32] | None,
        title: str,
        head_px: int,
    ) -> None:
        self.duration_s = motion_duration_s(motions, rate_hz, samples)
        self.names = list(motions)
        self.times_s = [(np.arange(len(degrees)) + 1) / rate_hz for degrees in motions.values()]
        self.degrees = [unwrap(degrees) for degrees in motions.values()]
        self.tints = [ImageColor.getrgb(colour)[:3] for colour in LIGHT_COLOURS]
        self.head_px, self.unit = head_px, head_px / 256
        self.margin = round(16 * self.unit)
        self.title, self.title_px = title, round(34 * self.unit) if title else 0
        self.heads_top = self.margin + self.title_px + round(26 * self.unit)
        self.strips_top = self.heads_top + head_px + round(54 * self.unit)
        self.strip_px, self.gap = round(72 * self.unit), round(8 * self.unit)
        # One head alone would leave its strips no room; H.264 wants even numbers.
        columns = max(2, len(motions))
        self.width = _even(columns * head_px + 2 * self.margin)
        self.height = _even(self.strips_top + len(ROTATIONS) * (self.strip_px + self.gap) + self.margin)
        self.left = [self.margin + round((i + (columns - len(motions)) / 2) * head_px) for i in range(len(motions))]
        self.strip_left, self.strip_right = self.margin + round(48 * self.unit), self.width - self.margin
        values = np.concatenate(self.degrees)
        room = np.maximum(0.08 * np.ptp(values, axis=0), (4 - np.ptp(values, axis=0)) / 2)
        self.low, self.high = values.min(0) - room, values.max(0) + room

    def frames(self, frames_per_s: float | Fraction) -> Iterator[Image.Image]:
        """RGB pictures, one each 1 / `frames_per_s` from time 0 to the end."""
        still = self._still()
        count = max(1, math.ceil(self.duration_s * frames_per_s - 1e-6))
        at_s = np.array([float(i / frames_per_s) for i in range(count)])
        poses = [resample(times, degrees, at_s) for times, degrees in zip(self.times_s, self.degrees, strict=True)]
        for i, time_s in enumerate(at_s):
            yield self._frame(still.copy(), float(time_s), [motion[i] for motion in poses])

    def _frame(self, picture: Image.Image, time_s: float, poses: list[FloatArray]) -> Image.Image:
        pen, small = ImageDraw.Draw(picture), _font(13 * self.unit)
        x = self._x(time_s)
        pen.line([(x, self.strips_top), (x, self.height - self.margin - self.gap)], fill=_INK, width=max(1, round(1.5 * self.unit)))
        for left, pose, tint in zip(self.left, poses, self.tints, strict=False):
            head = Image.fromarray(draw_head(pose, self.head_px, tint))
            picture.paste(head, (left, self.heads_top), head)
            for a, (name, angle) in enumerate(zip(ROTATIONS, pose, strict=True)):
                middle_x, top = left + self.head_px * (a + 0.5) / 3, self.heads_top + self.head_px + 6 * self.unit
                pen.text((middle_x, top), name, font=_font(11 * self.unit), fill=_SOFT, anchor="ma")
                pen.text(
                    (middle_x, top + 14 * self.unit), f"{round(angle, 1) + 0:+.1f}°".replace("-", "−"), font=small, fill=_INK, anchor="ma"
                )
                y, size = self._y(a, float(angle)), 3.5 * self.unit
                pen.ellipse([x - size, y - size, x + size, y + size], fill=tint, outline=_PAPER)
        return picture

    def _still(self) -> Image.Image:
        """What every frame shows: title, names and traces."""
        canvas = Image.new("RGB", (self.width * _FINE, self.height * _FINE), _PAPER)
        pen = ImageDraw.Draw(canvas)
        for a in range(len(ROTATIONS)):
            top = self.strips_top + a * (self.strip_px + self.gap)
            box = [self.strip_left * _FINE, top * _FINE, self.strip_right * _FINE, (top + self.strip_px) * _FINE]
            pen.rectangle(box, outline=_LINE, width=_FINE)
            if self.low[a] < 0 < self.high[a]:
                y = self._y(a, 0) * _FINE
                pen.line([(box[0], y), (box[2], y)], fill=_LINE, width=_FINE)
            # The reference lies over the others.
            for times, degrees, tint in reversed(list(zip(self.times_s, self.degrees, self.tints, strict=False))):
                points = [(self._x(t) * _FINE, self._y(a, v) * _FINE) for t, v in zip(times, degrees[:, a], strict=True)]
                pen.line(points, fill=tint, width=max(1, round(1.7 * _FINE * self.unit)), joint="curve")
        canvas = canvas.resize((self.width, self.height), Image.Resampling.LANCZOS)
        self._write(ImageDraw.Draw(canvas))
        return canvas

    def _write(self, pen: ImageDraw.ImageDraw) -> None:
        if self.title:
            font = _font(19 * self.unit, bold=True)
            pen.text((self.margin, self.margin), _cut(self.title, font, self.width - 2 * self.margin), font=font, fill=_INK)
        bold, plain = _font(14 * self.unit, bold=True), _font(11 * self.unit)
        for left, name, tint in zip(self.left, self.names, self.tints, strict=False):
            text = _cut(name, bold, self.head_px - 4 * self.margin)
            centre, y, dot = left + self.head_px / 2, self.heads_top - 12 * self.unit, 5 * self.unit
            start = centre - bold.getlength(text) / 2
            pen.ellipse([start - 3.2 * dot, y - dot, start - 1.2 * dot, y + dot], fill=tint)
            pen.text((centre, y), text, font=bold, fill=_INK, anchor="mm")
        for a, name in enumerate(ROTATIONS):
            top, right = self.strips_top + a * (self.strip_px + self.gap), self.strip_left - 6 * self.unit
            pen.text((right, top + self.strip_px / 2), name, font=_font(12 * self.unit, bold=True), fill=_INK, anchor="rm")
            pen.text((right, top), f"{self.high[a]:.0f}°".replace("-", "−"), font=plain, fill=_SOFT, anchor="ra")
            pen.text((right, top + self.strip_px), f"{self.low[a]:.0f}°".replace("-", "−"), font=plain, fill=_SOFT, anchor="rd")

    def _x(self, time_s: float) -> float:
        return self.strip_left + (self.strip_right - self.strip_left) * time_s / self.duration_s

    def _y(self, a: int, angle: float) -> float:
        top = self.strips_top + a * (self.strip_px + self.gap)
        return float(top + self.strip_px * (self.high[a] - angle) / (self.high[a] - self.low[a]))


def _even(pixels: int) -> int:
    return pixels + pixels % 2


@cache
def _font(pixels: float, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib and so is the same everywhere."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, max(6, round(pixels)))


def _cut(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """The text, or as much of its beginning as fits."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
