import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from rapport.ray_jobs.reports.embeddings import EmbeddedClips, class_centres, embeddings_image, embeddings_page
from rapport.ray_jobs.reports.geometry import describe_space

LABELS = ("neutral", "happy", "sad")


@pytest.fixture(scope="module")
def clips():
    random = np.random.default_rng(0)
    targets = np.arange(30) % 2
    maps = {name: targets[:, None] * 40.0 + random.normal(size=(30, 2)) for name in ("t-SNE", "UMAP")}
    ids = [f"c/<clip> {i}" for i in range(30)]
    return EmbeddedClips(ids, targets, np.roll(targets, 1), ["b"] * 20 + ["a"] * 10, LABELS, maps)


@pytest.fixture(scope="module")
def page(clips):
    confusion = [[5, 10, 0], [10, 5, 0], [0, 0, 0]]
    space = describe_space(clips.maps["t-SNE"], clips.targets, clips.corpora, confusion, LABELS)
    return embeddings_page(clips, space, "A map")


def drawing(page):
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    return json.loads(data)


def test_page_needs_nothing_from_elsewhere(page):
    assert not re.search(r"""(src|href)=["']|@import|url\(|https?://""", page)


def test_page_holds_every_clip_on_every_map(page, clips):
    held = drawing(page)
    assert held["ids"] == list(clips.utterance_ids)
    assert set(held["maps"]) == {"t-SNE", "UMAP"}
    assert all(np.shape(points) == (30, 2) for points in held["maps"].values())
    assert all(0 <= v <= 1 for points in held["maps"].values() for v in np.ravel(points))
    assert held["corpora"] == ["a", "b"]
    assert [held["corpora"][c] for c in held["corpus"]] == list(clips.corpora)


def test_ids_cannot_break_out_of_the_page(page):
    assert "<clip>" not in page


def test_only_emotions_that_occur_get_a_switch(page):
    assert 'data-emotion="1"' in page
    assert 'data-emotion="2"' not in page


def test_names_stand_at_the_middle_of_their_own_points_on_each_map(page):
    held = drawing(page)
    for name, points in held["maps"].items():
        for index, centre in held["centres"][name].items():
            own = np.array(points)[np.array(held["target"]) == int(index)]
            assert centre == pytest.approx(np.median(own, axis=0), abs=1e-3)
    assert set(held["centres"]["UMAP"]) == {"0", "1"}


def test_names_that_would_cover_one_another_are_moved_apart():
    points = np.array([[0.5, 0.5], [0.51, 0.501], [0.5, 0.9]])
    centres = class_centres(points, np.array([0, 1, 2]), 3)
    assert centres[1][1] - centres[0][1] >= 0.03
    assert centres[2] == (0.5, 0.9)


def test_image_shows_all_maps_side_by_side(clips):
    image = Image.open(io.BytesIO(embeddings_image(clips, "A map")))
    assert image.format == "PNG"
    assert image.width > 1.5 * image.height
