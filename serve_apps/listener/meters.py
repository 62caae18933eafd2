"""What a replica tells Ray's metrics of its streams, for Prometheus to collect."""

from ray.serve.metrics import Counter, Histogram

from rapport.serve_apps.listener.pool import Meter

_WAITED_MS = [1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0, 200.0, 500.0, 1000.0]


def meter() -> Meter:
    """Keeps the delays of all streams in buckets, and counts the sound that was dropped."""
    waited_ms = Histogram("rapport_head_motion_waited_ms", "From the arrival of sound to its poses, milliseconds.", boundaries=_WAITED_MS)
    dropped_s = Counter("rapport_head_motion_dropped_s", "Sound that came faster than it could be heard, seconds.")

    def tell(waited: float | None, dropped: float) -> None:
        if waited is not None:
            waited_ms.observe(max(0.0, waited))
        if dropped:
            dropped_s.inc(dropped)

    return tell
