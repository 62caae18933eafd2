import re

from rapport.ray_jobs.reports.evaluation import evaluation_page
from rapport.training.metrics import classification_metrics


def test_page_shows_scores_with_intervals_classes_corpora_and_noise(made_up_metrics):
    metrics = made_up_metrics()
    page = evaluation_page(
        metrics, title="Demo", split="test", files={}, facts={}, per_snr={"10": made_up_metrics(seed=1)}, noise="musan", film=None
    )
    assert f"{100 * metrics['uar']:.1f} %" in page
    low, high = metrics["interval"]["uar"]
    assert f"{100 * low:.1f} – {100 * high:.1f} %" in page
    assert all(name in page for name in ("cremad", "ravdess", "10 dB", "musan", *metrics["labels"]))


def test_page_needs_only_the_files_beside_it(made_up_metrics):
    files, facts = {"Map": "embeddings.html"}, {"model": "<demo>", "revision": None}
    page = evaluation_page(made_up_metrics(), title="Demo", split="test", files=files, facts=facts, film="confusion.gif")
    assert re.findall(r'(?:src|href)="([^"]+)"', page) == ["embeddings.html", "confusion.gif"]
    assert "&lt;demo&gt;" in page
    assert "revision" not in page


def test_classes_without_clips_are_left_out():
    labels, scores = ("neutral", "calm", "happy"), [[0.8, 0.1, 0.1], [0.1, 0.3, 0.6]]
    metrics = classification_metrics([0, 1], [0, 2], scores, [None, None], ["a", "a"], labels, resamples=10)
    page = evaluation_page(metrics, title="Demo", split="test", files={}, facts={})
    rows = re.findall(r"<tr><th scope=\"row\">(?:<span[^>]*></span>)?(\w+)</th>", page)
    assert "happy" not in rows
    assert {"neutral", "calm"} <= set(rows)
