"""Settings of the companion's front. Imports no web framework, so that a job's `--help` stays quick."""

from rapport.core.config import Config
from rapport.serve_apps.conversation_emotion.settings import ConversationSettings
from rapport.serve_apps.http.settings import RequestLimits
from rapport.serve_apps.listener.settings import MotionSettings, StreamSettings
from rapport.serve_apps.realtime.settings import RealtimeSettings
from rapport.serve_apps.speech_emotion.settings import EmotionSettings
from rapport.serve_apps.spoken_dialogue.settings import DialogueSettings


class LiveSettings(Config):
    """What the endpoints accept."""

    requests: RequestLimits = RequestLimits(request_timeout_s=60)
    """Size, number and duration of requests, of all endpoints together; those of a part tell its own timeout alone."""
    realtime: RealtimeSettings = RealtimeSettings()
    """What is done for those who talk."""
    emotion: EmotionSettings = EmotionSettings()
    """What `/v1/audio/emotions` accepts."""
    dialogue: DialogueSettings = DialogueSettings()
    """What `/v1/chat/completions`, `/v1/audio/transcriptions` and `/v1/audio/speech` accept."""
    # A head in a session acknowledges its poses itself, so that what is unread is what is on the way between two processes.
    head_motion: MotionSettings = MotionSettings(stream=StreamSettings(max_sessions=64))
    """What `/v1/audio/head-motion` accepts, and what is done for heads that follow sessions."""
    conversations: ConversationSettings = ConversationSettings()
    """What `/v1/dialogues/emotions` accepts."""
