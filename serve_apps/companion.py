"""The companion: all models in one app, and conversations as they are spoken. WS /v1/realtime, every endpoint of the other apps,
GET /v1/models, /healthz, /docs and a page at /.

    python -m rapport.ray_jobs.serve_app --app companion           # this computer, the newest model of each kind
    python -m rapport.ray_jobs.serve_app --app companion --dialogue.model ~/rapport/models/emosds/NAME --conversations.model off
    serve deploy serve_apps/deploy/companion.yaml                  # a cluster

    client -> proxy -> Companion (requests, sessions, decoding, turns) -> EmotionModel        while the user speaks
                                                                       -> Heads               with every piece of sound
                                                                       -> DialogueModel       when the user has spoken
                                                                       -> Voice               sentence by sentence
                                                                       -> TranscriberReplica, ConversationModel

Each part is a deployment that scales alone and may be left out; sound passes two hops on its way to any of them.
"""

import sys
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from rapport.core.config import Config
from rapport.core.errors import RapportError
from rapport.models.erc.model_config import EngineConfig, ScoringConfig
from rapport.serve_apps import erc, sds, ser
from rapport.serve_apps.http.settings import Replicas, bounded
from rapport.serve_apps.live_dialogue.settings import LiveSettings

if TYPE_CHECKING:
    from fastapi import FastAPI
    from ray.serve import Application

STREAMS = True
"""Connections last as long as clients talk: no timeout of the proxy may end them."""

OFF = "off"
"""In place of a model: the part is left out."""

Device = Literal["auto", "cpu", "cuda", "mps"]


class EmotionPart(Config):
    """Who tells the emotion of a voice."""

    model: str = ""
    """Folder or URI of a trained model; empty takes the newest, `off` leaves the part out."""
    device: Device = "auto"
    """Where it computes."""
    batching: ser.Batching = ser.Batching()
    """How clips share batches."""
    replicas: Replicas = Replicas(num_cpus=0.25)
    """Copies of it."""


class DialoguePart(Config):
    """Who hears and replies."""

    model: str = ""
    """Folder or URI of a trained model; empty takes the newest, one that hears and replies before others; `off` leaves the part out."""
    codebook: str = ""
    """Folder or URI of its codebook, for a model folder that holds none."""
    encoder: str = ""
    """Where the weights of its speech encoder lie now; empty is where they lay when the codebook was fitted."""
    device: Device = "auto"
    """Where it computes."""
    decoding: sds.Decoding = sds.Decoding()
    """How answers share batches."""
    replicas: Replicas = Replicas(target_ongoing_requests=4.0, num_cpus=0.5)
    """Copies of it."""


class VoicePart(Config):
    """Who speaks."""

    engine: str = "espeak"
    """`espeak` (embedded), `kokoro` or `kokoro:<hub id or folder>` (pip install 'rapport[kokoro]'), or `off`."""
    replicas: int = Field(default=1, ge=1)
    """Copies of it."""
    num_gpus: float = Field(default=0.0, ge=0)
    """GPUs that each copy reserves; espeak needs none."""


class TranscriberPart(Config):
    """Who writes down words besides the dialogue model."""

    engine: str = "pocketsphinx"
    """`pocketsphinx` (embedded), `whisper:<hub id or folder>`, or `off`."""


class HeadMotionPart(Config):
    """Whose head moves."""

    model: str = ""
    """Folder or URI of a trained model; empty takes the newest, `off` leaves the part out."""
    replicas: Replicas = Replicas(target_ongoing_requests=48.0, num_cpus=0.25)
    """Copies of it; a head that follows a voice is one request or two."""


class ConversationPart(Config):
    """Who tells the emotions in conversations in writing."""

    model: str = ""
    """Folder or URI of a trained model; empty takes the newest, `off` leaves the part out."""
    adapters: str = ""
    """Folder or URI whose folders are adapters of the same base model, each served as `<model id>:<folder name>`."""
    base: str = ""
    """Where the base model of the adapters lies now; empty is where it lay when they were trained."""
    corpus: str = ""
    """What the model learned from, for a model folder that tells several corpora or none: meld, emorynlp or iemocap."""
    engine: EngineConfig = EngineConfig()
    """What computes, and where."""
    scoring: ScoringConfig = ScoringConfig()
    """How labels are weighed."""
    max_adapters: int = Field(default=8, ge=1)
    """Most adapters in the memory of a copy."""
    batching: erc.Batching = erc.Batching()
    """How lines share batches."""
    replicas: Replicas = Replicas(num_cpus=0.25)
    """Copies of it."""


class Args(Config):
    """What `build_app` takes."""

    emotion: EmotionPart = EmotionPart()
    """The speech emotion model."""
    dialogue: DialoguePart = DialoguePart()
    """The dialogue model."""
    voice: VoicePart = VoicePart()
    """The voice of replies."""
    transcriber: TranscriberPart = TranscriberPart()
    """The transcriber."""
    head_motion: HeadMotionPart = HeadMotionPart()
    """The head motion model."""
    conversations: ConversationPart = ConversationPart()
    """The model for conversations in writing."""
    endpoints: LiveSettings = LiveSettings()
    """What the endpoints accept."""
    front_replicas: int = Field(default=1, ge=1)
    """Copies of the front, which decodes and holds the sessions."""


def build_app(args: Args) -> "Application":
    """The application of these settings. Reads nothing but the environment (`RAPPORT_API_KEY`); models load in their replicas."""
    from ray import serve

    from rapport.serve_apps.http.auth import key_digest
    from rapport.serve_apps.http.transcriber import bind_transcriber
    from rapport.serve_apps.live_dialogue.deployments import Companion

    pending = args.endpoints.requests.max_pending
    voice = None if args.voice.engine == OFF else sds.bind_voice(args.voice.engine, args.voice.replicas, args.voice.num_gpus, pending)
    # A session is a request for as long as it lasts; the front, not the proxy, should refuse what is too much, hence the room beyond.
    at_once = 2 * (pending + args.endpoints.realtime.max_sessions)
    options: dict[str, Any] = {
        "num_replicas": args.front_replicas,
        "ray_actor_options": {"num_cpus": 0.25},
        "max_ongoing_requests": at_once,
        **bounded(at_once),
    }
    return serve.deployment(**options)(Companion).bind(
        _emotion(args),
        _dialogue(args),
        voice,
        bind_transcriber(args.transcriber.engine, pending),
        _heads(args),
        _conversations(args),
        args.endpoints.model_dump(mode="json"),
        key_digest(),
    )


def interface(args: Args) -> "FastAPI":
    """The interface of these settings with no models behind it: what `/docs` shows."""
    from rapport.serve_apps.live_dialogue.api import build_api
    from rapport.serve_apps.live_dialogue.nothing import no_services

    return build_api(no_services(), args.endpoints)


def check_args(args: Args, storage: str) -> Args:
    """The settings with each model named, or left out where there is none, which is told.

    Raises RapportError for a model that is named and not there, or when there is none at all.
    """
    from rapport.models.emosds.lineage import usefulness
    from rapport.models.find import find_model

    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "emotion": ("ser", {}),
        "dialogue": ("emosds", {"best": usefulness}),
        "head_motion": ("listener", {}),
        "conversations": ("coe", {}),
    }
    found: dict[str, Config] = {}
    missing: list[str] = []
    for name, (kind, how) in kinds.items():
        part = getattr(args, name)
        if part.model == OFF:
            continue
        try:
            found[name] = part.model_copy(update={"model": find_model(part.model, kind, storage, **how)})
        except RapportError as error:
            if part.model:
                raise RapportError(str(error).replace("--model", f"--{name.replace('_', '-')}.model")) from error
            missing.append(f"{name}: {error}".replace("--model", f"--{name.replace('_', '-')}.model"))
            found[name] = part.model_copy(update={"model": OFF})
    chosen = args.model_copy(update=found)
    if all(getattr(chosen, name).model == OFF for name in kinds):
        raise RapportError("\n".join(["there is no model to serve:", *missing]))
    for line in missing:
        print(f"served without {line}", file=sys.stderr, flush=True)
    return chosen


def _emotion(args: Args) -> Any:
    from ray import serve

    from rapport.serve_apps.speech_emotion.deployments import EmotionModel

    part, pending = args.emotion, _pending(args)
    if part.model == OFF:
        return None
    options = part.replicas.options(pending, at_once=part.batching.max_batch_size)
    return serve.deployment(**options)(EmotionModel).bind(part.model, part.device, part.batching.model_dump())


def _dialogue(args: Args) -> Any:
    from ray import serve

    from rapport.serve_apps.spoken_dialogue.deployments import DialogueModel

    part, pending = args.dialogue, _pending(args)
    if part.model == OFF:
        return None
    options = part.replicas.options(pending, at_once=part.decoding.max_batch_size)
    engine = part.model_dump(include={"model", "codebook", "encoder", "device"})
    return serve.deployment(**options)(DialogueModel).bind(engine, part.decoding.max_batch_size, part.decoding.wait_s)


def _heads(args: Args) -> Any:
    from ray import serve
    from ray.serve.config import RequestRouterConfig

    from rapport.serve_apps.live_dialogue.heads import ROUTER, Heads

    part, settings = args.head_motion, args.endpoints.head_motion
    if part.model == OFF:
        return None
    # A head that follows is a request for as long as it lasts, and its voice one at a time.
    options = part.replicas.options(2 * (2 * settings.stream.max_sessions + settings.requests.max_pending))
    if part.replicas.max_replicas > 1:
        options["request_router_config"] = RequestRouterConfig.model_validate({"request_router_class": ROUTER})
    return serve.deployment(**options)(Heads).bind(part.model, settings.model_dump(mode="json"))


def _conversations(args: Args) -> Any:
    from ray import serve

    from rapport.serve_apps.conversation_emotion.deployments import ConversationModel

    part, pending = args.conversations, _pending(args)
    if part.model == OFF:
        return None
    return serve.deployment(**part.replicas.options(pending, at_once=part.batching.max_batch_size))(ConversationModel).bind(
        part.model_dump(mode="json", include={"model", "adapters", "base", "corpus", "engine", "scoring"}),
        part.batching.model_dump(),
        part.max_adapters,
        args.endpoints.conversations.max_rationale_tokens,
    )


def _pending(args: Args) -> int:
    """Requests that may wait for a part: those of clients, and those of sessions."""
    return args.endpoints.requests.max_pending + 2 * args.endpoints.realtime.max_sessions
