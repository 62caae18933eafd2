"""What a front tells Ray's metrics of its sessions, for Prometheus to collect; `serve_apps/deploy/companion_dashboard.json` shows it."""

from collections.abc import Mapping

from ray.serve.metrics import Counter, Gauge, Histogram

_WAITED_MS = [50.0, 100.0, 200.0, 300.0, 400.0, 500.0, 600.0, 800.0, 1000.0, 1500.0, 2000.0, 3000.0, 5000.0, 10_000.0, 30_000.0]


class FrontMeter:
    """A `Meter` of one front. Works in a Serve replica alone."""

    def __init__(self) -> None:
        self._sessions = Gauge("rapport_realtime_sessions", "Realtime sessions under way.")
        self._turns_s = Counter("rapport_realtime_turn_s", "Speech of users in turns, seconds.")
        self._turns = Counter("rapport_realtime_turns", "Turns of users.")
        self._replies = Counter("rapport_realtime_replies", "Replies by how they ended.", tag_keys=("status",))
        self._errors = Counter("rapport_realtime_errors", "Errors that clients were told of, by code.", tag_keys=("code",))
        told = "From the end of speech to a step of the reply, milliseconds."
        self._waited_ms = Histogram("rapport_realtime_waited_ms", told, boundaries=_WAITED_MS, tag_keys=("step",))

    def sessions(self, count: int) -> None:
        """As `Meter.sessions`."""
        self._sessions.set(count)

    def turn(self, seconds: float) -> None:
        """As `Meter.turn`."""
        self._turns.inc()
        self._turns_s.inc(max(seconds, 1e-6))  # a counter takes no nothing

    def reply(self, status: str, waited_ms: Mapping[str, float]) -> None:
        """As `Meter.reply`."""
        self._replies.inc(tags={"status": status})
        for step, waited in waited_ms.items():
            self._waited_ms.observe(max(0.0, waited), tags={"step": step})

    def error(self, code: str) -> None:
        """As `Meter.error`."""
        self._errors.inc(tags={"code": code})
