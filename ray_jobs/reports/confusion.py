"""Confusion matrices as pictures: one for a test, and a film over the epochs of a training run.

Figures are drawn without pyplot, so they need no display, share no state between threads and leave no frame files behind.
"""

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from rapport.core.errors import RapportError
from rapport.training.metrics import scores_of


def confusion_figure(confusion: npt.ArrayLike, labels: Sequence[str], title: str = "") -> Figure:
    """A figure of two panels: counts on the left, and on the right each row as percentages, whose diagonal is the recall."""
    counts = np.asarray(confusion)
    size = 1.8 + 0.52 * len(labels)
    figure = Figure(figsize=(2 * size + 0.6, size + 0.7 + 0.3 * bool(title)), dpi=110, layout="constrained")
    left, right = figure.subplots(1, 2)
    _matrix(left, counts / max(counts.max(), 1), [[f"{n:d}" if n else "" for n in row] for row in counts], labels, "clips")
    shares = _rows_as_shares(counts)
    texts = [[f"{100 * s:.0f}" if s >= 0.005 else "" for s in row] for row in shares]
    _matrix(right, shares, texts, labels, "% of each true emotion")
    if title:
        figure.suptitle(title, fontsize=12, fontweight="bold")
    return figure


def confusion_image(confusion: npt.ArrayLike, labels: Sequence[str], title: str = "") -> bytes:
    """The figure of `confusion_figure` as PNG bytes."""
    sink = io.BytesIO()
    confusion_figure(confusion, labels, title).savefig(sink, format="png")
    return sink.getvalue()


def pixels(figure: Figure) -> npt.NDArray[np.uint8]:
    """The drawn figure as RGB [height, width, 3], as TensorBoard's `add_image(..., dataformats="HWC")` takes it."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def confusion_animation(confusions: npt.ArrayLike, labels: Sequence[str], *, frames_per_s: float = 4.0, max_frames: int = 120) -> bytes:
    """A GIF of row-normalised matrices [epochs, E, E] beside the curve of their UAR; its last frame stays for two seconds.

    A run of more than `max_frames` epochs is thinned evenly, always keeping the first and the last. Raises RapportError when there
    is no epoch, or when the matrices do not fit the labels.
    """
    epochs = np.asarray(confusions)
    if epochs.ndim != 3 or not len(epochs) or epochs.shape[1:] != (len(labels), len(labels)):
        raise RapportError(f"wanted confusions of shape [epochs, {len(labels)}, {len(labels)}], got {list(epochs.shape)}")
    shares, curve = _rows_as_shares(epochs), 100 * scores_of(epochs)["uar"]
    chosen = np.unique(np.linspace(0, len(epochs) - 1, min(len(epochs), max_frames)).round().astype(int))

    size = 1.8 + 0.52 * len(labels)
    figure = Figure(figsize=(2 * size - 0.4, size + 0.5), dpi=80, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1.25, 1])
    mesh, texts = _matrix(left, shares[0], [[""] * len(labels)] * len(labels), labels, "")
    right.plot(np.arange(1, len(epochs) + 1), curve, color="#9aa5b1", linewidth=1.5)
    (marker,) = right.plot([1], [curve[0]], "o", color="#0072b2", markersize=7)
    right.set(xlabel="epoch", ylim=(0, 100), xlim=(0.5, len(epochs) + 0.5))
    right.set_title("validation UAR, %", fontsize=10)
    right.grid(alpha=0.25)
    right.spines[["top", "right"]].set_visible(False)

    title = left.set_title("", fontsize=10)

    # What stays is drawn once and copied; only what changes is drawn for each frame, which is ten times as fast.
    moving = (mesh, *texts, marker, title)
    for artist in moving:
        artist.set_animated(True)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    still = canvas.copy_from_bbox(figure.bbox)
    frames = []
    for epoch in chosen.tolist():
        mesh.set_array(shares[epoch])
        for share, text in zip(shares[epoch].ravel(), texts, strict=True):
            text.set(text=f"{100 * share:.0f}" if share >= 0.005 else "", color=_ink(share))
        marker.set_data([epoch + 1], [curve[epoch]])
        title.set_text(f"epoch {epoch + 1} of {len(epochs)}")
        canvas.restore_region(still)
        for artist in moving:
            artist.axes.draw_artist(artist)
        frames.append(Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy()))
    sink = io.BytesIO()
    palette = _palette()
    frames = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    wait_ms = round(1000 / frames_per_s)
    times = [wait_ms] * (len(frames) - 1) + [2000]
    frames[0].save(sink, format="GIF", save_all=True, append_images=frames[1:], duration=times, loop=0, optimize=True)
    return sink.getvalue()


def _rows_as_shares(counts: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    return counts / np.maximum(counts.sum(-1, keepdims=True), 1)


def _palette() -> Image.Image:
    """One palette for all frames, so that none flickers: the blues of the cells, the greys of the text and the blue of the dot."""
    fade = np.linspace(0, 1, 24)[:, None]
    blues = 255 * colormaps["Blues"](np.linspace(0, 1, 176))[:, :3]
    greys = np.append(np.linspace(0, 235, 55), 255)[:, None].repeat(3, axis=1)
    dot = np.array([0, 0x72, 0xB2]) * (1 - fade) + 255 * fade
    holder = Image.new("P", (1, 1))
    holder.putpalette(np.concatenate([blues, greys, dot]).round().astype(np.uint8).tobytes())
    return holder


def _ink(share: float) -> str:
    return "white" if share > 0.6 else "#1f2933"


def _matrix(
    axes: Axes, values: npt.NDArray[np.float64], texts: list[list[str]], labels: Sequence[str], title: str
) -> tuple[QuadMesh, list[Text]]:
    """Draw one heat map of values between 0 and 1; returns its cells and their texts, row by row."""
    mesh = axes.pcolormesh(values, cmap="Blues", vmin=0, vmax=1, edgecolors="white", linewidth=1.5)
    middles = [i + 0.5 for i in range(len(labels))]
    axes.set_xticks(middles, labels, rotation=45, ha="right", rotation_mode="anchor", fontsize=9)
    axes.set_yticks(middles, labels, fontsize=9)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="heard as", ylabel="true emotion", aspect="equal")
    axes.invert_yaxis()
    axes.set_title(title, fontsize=10)
    cells = [(i, j) for i in range(len(labels)) for j in range(len(labels))]
    drawn = [axes.text(j + 0.5, i + 0.5, texts[i][j], ha="center", va="center", fontsize=9, color=_ink(values[i, j])) for i, j in cells]
    return mesh, drawn
