import io

import numpy as np
import pytest
from PIL import Image, ImageSequence

from rapport.core.errors import RapportError
from rapport.ray_jobs.reports.confusion import confusion_animation, confusion_figure, confusion_image, pixels

LABELS = ("neutral", "happy", "sad")
MATRIX = [[8, 1, 1], [0, 9, 1], [0, 0, 0]]


def texts(figure):
    return [[text.get_text() for text in axes.texts] for axes in figure.axes]


def test_panels_show_counts_and_row_percentages():
    counts, shares = texts(confusion_figure(MATRIX, LABELS))
    assert counts == ["8", "1", "1", "", "9", "1", "", "", ""]
    assert shares == ["80", "10", "10", "", "90", "10", "", "", ""]


def test_image_is_a_png():
    image = Image.open(io.BytesIO(confusion_image(MATRIX, LABELS, "two of three")))
    assert image.format == "PNG"
    assert image.width > image.height > 300


def test_pixels_are_rgb_for_tensorboard():
    drawn = pixels(confusion_figure(MATRIX, LABELS))
    assert drawn.dtype == np.uint8
    assert drawn.ndim == 3
    assert drawn.shape[2] == 3
    assert len(np.unique(drawn)) > 10


def test_animation_has_a_frame_an_epoch_and_holds_the_last():
    epochs = np.stack([np.full((3, 3), 5), np.eye(3, dtype=int) * 9 + 1, np.eye(3, dtype=int) * 10])
    film = Image.open(io.BytesIO(confusion_animation(epochs, LABELS, frames_per_s=5)))
    waits, pictures = [], []
    for frame in ImageSequence.Iterator(film):
        waits.append(frame.info["duration"])
        pictures.append(np.asarray(frame.convert("RGB"), dtype=int))
    assert waits == [200, 200, 2000]
    assert np.abs(pictures[0] - pictures[1]).max() > 50
    # The dark cells of the last frame are blue in the file too: the palette covers what is drawn.
    assert (pictures[2] == pictures[2].min()).any()
    height, width, _ = pictures[2].shape
    darkest_blue = pictures[2][: height // 2, : width // 2].reshape(-1, 3)
    assert ((darkest_blue[:, 2] - darkest_blue[:, 0]) > 60).any()


def test_long_runs_are_thinned_to_the_first_and_last_epoch_and_some_between():
    epochs = np.tile(MATRIX, (50, 1, 1)) + np.arange(50)[:, None, None]
    film = Image.open(io.BytesIO(confusion_animation(epochs, LABELS, max_frames=4)))
    assert len(list(ImageSequence.Iterator(film))) == 4


def test_drawing_leaves_no_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    confusion_animation(np.tile(MATRIX, (2, 1, 1)), LABELS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shape", [(0, 3, 3), (3, 3), (2, 4, 4)])
def test_matrices_that_do_not_fit_the_labels_are_refused(shape):
    with pytest.raises(RapportError, match=r"\[epochs, 3, 3\]"):
        confusion_animation(np.zeros(shape, dtype=int), LABELS)
