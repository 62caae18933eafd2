import numpy as np
import pytest

from rapport.core.errors import RapportError
from rapport.ray_jobs.reports.geometry import (
    agreement_with_confusion,
    centroid_distances,
    describe_space,
    draw_map,
    group_discrepancy,
    principal_view,
    separability,
)


def clouds(count=40, classes=3, width=12, apart=4.0, seed=0):
    """`count` points around each of `classes` centres, the first two centres close together."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(classes, width))
    centres[1] = centres[0] + 0.2 * random.normal(size=width)
    targets = np.repeat(np.arange(classes), count)
    return apart * centres[targets] + random.normal(size=(len(targets), width)), targets


def test_view_is_standardised_and_at_most_thirty_wide():
    points = np.random.default_rng(0).normal(size=(60, 50)) * np.linspace(1, 1000, 50)
    view = principal_view(points)
    assert view.shape == (60, 30)
    assert np.abs(view.mean(0)).max() < 1e-9
    # No dimension drowns the others: the first component does not explain nearly everything.
    assert view.var(0)[0] / view.var(0).sum() < 0.2


def test_a_constant_dimension_does_no_harm():
    points, _ = clouds()
    points[:, 0] = 3.0
    assert np.isfinite(principal_view(points)).all()


def test_too_few_clips_are_refused():
    with pytest.raises(RapportError, match="at least 8"):
        principal_view(np.zeros((7, 4)))


@pytest.mark.parametrize("clips", [9, 120])
def test_tsne_keeps_clouds_apart_and_repeats_itself(clips):
    points, targets = clouds(clips // 3, apart=8)
    view = principal_view(points)
    first = draw_map("t-SNE", view, seed=1)
    assert first.shape == (clips, 2)
    assert (first == draw_map("t-SNE", view, seed=1)).all()
    if clips > 100:
        apart = separability(first, targets == 2)
        assert apart is not None
        assert apart > 0.4


def test_umap_works_down_to_the_smallest_allowed_set():
    view = principal_view(clouds(4, classes=2)[0])
    drawn = draw_map("UMAP", view, seed=1)
    assert drawn.shape == (8, 2)
    assert np.isfinite(drawn).all()


def test_discrepancy_is_small_for_alike_groups_and_equals_the_plain_sum():
    points, targets = clouds()
    found = group_discrepancy(points, targets, 4)
    assert found[0, 1] < found[0, 2] / 3
    assert np.isnan(found[3]).all()
    # Gretton et al. 2012, equation 3, written out.
    squared = ((points[:, None] - points[None]) ** 2).sum(-1)
    kernel = np.exp(-squared / (2 * np.median(squared[np.triu_indices(len(points), 1)])))
    a, b = np.flatnonzero(targets == 0), np.flatnonzero(targets == 2)
    within = sum((kernel[np.ix_(g, g)].sum() - len(g)) / (len(g) * (len(g) - 1)) for g in (a, b))
    assert found[0, 2] == pytest.approx(within - 2 * kernel[np.ix_(a, b)].mean())


def test_discrepancy_of_one_cloud_cut_in_two_is_about_zero():
    points = np.random.default_rng(0).normal(size=(400, 5))
    assert abs(group_discrepancy(points, np.arange(400) % 2, 2)[0, 1]) < 0.01


def test_discrepancy_compares_at_most_so_many_clips():
    points, targets = clouds(400)
    assert group_discrepancy(points, targets, 3, most=200)[0, 2] == pytest.approx(group_discrepancy(points, targets, 3)[0, 2], rel=0.15)


def test_centroid_distances_are_euclidean():
    found = centroid_distances(np.array([[0.0, 0.0], [0.0, 2.0], [3.0, 1.0]]), [0, 0, 1], 3)
    assert found[0, 1] == pytest.approx(3.0)
    assert np.isnan(found[2]).all()


def test_agreement_is_minus_one_when_near_classes_are_confused_most():
    confusion = [[10, 8, 1], [8, 10, 2], [1, 2, 10]]
    distances = np.array([[0, 1, 9], [1, 0, 5], [9, 5, 0]], dtype=float)
    assert agreement_with_confusion(distances, confusion) == {"rho": pytest.approx(-1.0), "p": pytest.approx(0.0, abs=1e-6), "pairs": 3}


def test_agreement_is_undefined_without_mistakes_or_pairs():
    distances = np.array([[0, 1, 9], [1, 0, 5], [9, 5, 0]], dtype=float)
    assert agreement_with_confusion(distances, np.eye(3) * 5)["rho"] is None
    assert agreement_with_confusion(distances[:2, :2], [[3, 1], [1, 3]])["rho"] is None


def test_separability_tells_emotions_from_recordings():
    points, targets = clouds()
    corpora = ["ravdess" if i % 2 else "cremad" for i in range(len(targets))]
    confusion = np.array([[30, 9, 1], [8, 31, 1], [0, 1, 39]])
    found = describe_space(principal_view(points), targets, corpora, confusion, ("neutral", "calm", "angry"))
    assert found["separability"]["emotions"] > 0.2 > abs(found["separability"]["corpora"])
    assert set(found["separability"]["emotions_within"]) == {"cremad", "ravdess"}
    assert found["agreement"]["mmd"]["rho"] < 0
    assert found["corpus_mmd"][0][1] == pytest.approx(0, abs=0.02)


def test_one_corpus_and_one_emotion_have_no_separability():
    points, _ = clouds()
    found = describe_space(points, np.zeros(len(points), dtype=int), ["a"] * len(points), [[120, 0], [0, 0]], ("neutral", "calm"))
    assert found["separability"] == {"emotions": None, "corpora": None, "emotions_within": {"a": None}}
    assert found["mmd"] == [[0.0, None], [None, None]]
