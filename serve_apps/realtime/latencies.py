"""How long a user waits for a reply: from the end of their speech to what they get of it, step by step."""

from dataclasses import dataclass, fields

from rapport.serve_apps.realtime.session_config import RATE_HZ
from rapport.serve_apps.realtime.speaking import Spoken

_PREFIX = "x_end_of_speech_to_"


@dataclass(slots=True)
class TurnClock:
    """When each step was reached, by the session's clock; None for what has not been."""

    speech_end_s: float
    """The last sound of the user's voice came."""
    commit_s: float | None = None
    """The turn was known to be over."""
    first_text_s: float | None = None
    """The first word of the reply was written."""
    first_audio_byte_s: float | None = None
    """The first sound of it was sent."""
    first_audible_sample_s: float | None = None
    """The first of it that is not silence, played as it comes."""
    done_s: float | None = None
    """All of it was sent."""

    def mark(self, step: str, now_s: float) -> None:
        """A step is reached; only the first time counts."""
        if getattr(self, f"{step}_s") is None:
            setattr(self, f"{step}_s", now_s)

    def hear(self, spoken: Spoken, now_s: float) -> None:
        """A part of the reply is sent."""
        self.mark("first_audio_byte", now_s)
        if spoken.audible is not None and spoken.begun_s is not None:
            self.mark("first_audible_sample", max(now_s, spoken.begun_s + spoken.audible / RATE_HZ))

    def milliseconds(self) -> dict[str, float]:
        """From the end of speech to each step that was reached."""
        steps = [field.name for field in fields(self) if field.name != "speech_end_s"]
        times = {step.removesuffix("_s"): getattr(self, step) for step in steps}
        return {step: round(1000 * (time_s - self.speech_end_s), 1) for step, time_s in times.items() if time_s is not None}

    def metadata(self) -> dict[str, str]:
        """The same as OpenAI's metadata can hold it."""
        return {f"{_PREFIX}{step}_ms": f"{value:g}" for step, value in self.milliseconds().items()}
