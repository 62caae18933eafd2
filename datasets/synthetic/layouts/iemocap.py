"""IEMOCAP: conversations of two, one of whom wears markers: `Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_M003.wav`.

Each pair plays improvised scenes of at most 16 turns, every second one with the markers on the man. Turns are one to four sentences with
pauses between them; now and then somebody begins before the other has ended. Beside a recording lies the head motion of whoever wears the
markers (`sentences/MOCAP_head`), and with the first of a scene come the recording of the whole in two channels (`dialog/wav`, the woman on
the left), its motion (`dialog/MOCAP_head`), labels (`dialog/EmoEvaluation`) and words (`dialog/transcriptions`). Times are those of the
dialogue everywhere. 16 kHz, 16 bit.

How a head follows the other's voice is told in `rapport.datasets.synthetic.head_motion`. Complete: ten speakers of 1,000 utterances, about
as many as published.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from io import StringIO

import numpy as np
import numpy.typing as npt

from rapport.core.audio import SAMPLE_RATE_HZ, encode_wav
from rapport.core.errors import RapportError
from rapport.core.pose import ROTATIONS
from rapport.datasets.card import read_card
from rapport.datasets.corpora.iemocap import GENDERS, HEADER, parse_name, recording_of
from rapport.datasets.synthetic.head_motion import MOTION_RATE_HZ, POSE_SPREAD_DEG, head_motion, wandering
from rapport.datasets.synthetic.plan import Request
from rapport.datasets.synthetic.recording import coloured_noise
from rapport.datasets.synthetic.sentences import sentence
from rapport.datasets.synthetic.speakers import Speaker
from rapport.datasets.synthetic.studio import Studio

SPEAKERS, MAX_SPEAKERS = 10, 198
CLIPS, MAX_CLIPS = 1000, 1584
TURNS_EACH = 8
"""Most turns of one speaker in a scene."""
COLUMNS = ("pitch", "roll", "yaw", "tra_x", "tra_y", "tra_z")
"""Columns of motion after the number of the row and its time; angles in degrees, places in millimetres."""

_FEWEST_SCENES = 4
_MAX_SENTENCES = 4
_PAUSE_S = (0.0, 0.8)  # between sentences, beside the silence that each recording has
_GAP_S, _OVERLAP_S, _OVERLAPPING = (0.1, 0.9), (0.2, 0.8), 0.1  # the last is a share of turns
_CROSSTALK = 10 ** (-35 / 20)
_GRID = 8  # samples; times on it have no more than the four decimals that tables print
# Code to how often it is drawn, and valence, activation and dominance as in the published tables (rounded to halves).
_CODES: Mapping[str, tuple[float, tuple[float, float, float]]] = {
    "neu": (0.19, (3.0, 2.5, 3.0)),
    "fru": (0.19, (2.0, 3.0, 3.5)),
    "ang": (0.13, (1.5, 4.0, 4.0)),
    "sad": (0.12, (2.0, 2.0, 2.5)),
    "exc": (0.12, (4.0, 3.5, 3.5)),
    "hap": (0.08, (4.0, 3.0, 3.0)),
    "sur": (0.03, (3.0, 3.5, 3.0)),
    "fea": (0.02, (2.0, 3.5, 2.5)),
    "xxx": (0.12, (2.5, 3.0, 3.0)),
}
_CODE_NAMES: Mapping[str, str] = {
    "neu": "Neutral state",
    "fru": "Frustration",
    "ang": "Anger",
    "sad": "Sadness",
    "exc": "Excited",
    "hap": "Happiness",
    "sur": "Surprise",
    "fea": "Fear",
}
_DISAGREED = ("Neutral state", "Anger", "Sadness")


@dataclass(frozen=True, slots=True)
class Scene:
    """One dialogue."""

    session: int
    wearer: str
    """F or M: who wears the markers, and begins."""
    number: int
    turns_each: int

    @property
    def name(self) -> str:
        """The dialogue, as files are called."""
        return f"Ses{self.session:02d}{self.wearer}_impro{self.number:02d}"

    @property
    def turns(self) -> list["Turn"]:
        """Its turns, from the first."""
        letters = (self.wearer, "M" if self.wearer == "F" else "F")
        return [Turn(self, letter, number) for number in range(self.turns_each) for letter in letters]

    def file(self, kind: str, suffix: str = ".txt") -> str:
        """Where what belongs to the whole dialogue lies, relative to the corpus."""
        return f"Session{self.session}/dialog/{kind}/{self.name}{suffix}"


@dataclass(frozen=True, slots=True)
class Turn:
    """One utterance."""

    scene: Scene
    speaker: str
    """F or M."""
    number: int
    """Counted from 0 for each speaker."""

    @property
    def name(self) -> str:
        """The utterance, as files are called."""
        return f"{self.scene.name}_{self.speaker}{self.number:03d}"

    @property
    def path(self) -> str:
        """Relative to the corpus."""
        name = parse_name(self.name)
        assert name is not None, f"{self.name} is no name of the corpus"
        return recording_of(name, self.name)


@dataclass(frozen=True, slots=True)
class Said:
    """What became of a turn."""

    first: int
    """Samples from the beginning of the dialogue, as `last`, which is exclusive."""
    last: int
    text: str
    code: str
    ratings: tuple[float, float, float]
    """Valence, activation, dominance."""

    @property
    def start_s(self) -> float:
        """Seconds from the beginning of the dialogue."""
        return self.first / SAMPLE_RATE_HZ

    @property
    def end_s(self) -> float:
        """Likewise."""
        return self.last / SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """A scene as it was played."""

    said: Mapping[Turn, Said]
    channels: Mapping[str, npt.NDArray[np.float32]]
    """F and M to what their microphones heard, [S] at 16 kHz."""
    rows: list[str]
    """Motion of whoever wears the markers, line by line; row n is at n / 120 s."""


def plan(request: Request) -> list[Turn]:
    """The turns, session by session, scene by scene, as they are said."""
    speakers = request.count_speakers(SPEAKERS, MAX_SPEAKERS)
    if speakers % 2:
        raise RapportError(f"--speakers {speakers}: this layout takes pairs, so an even number")
    each = request.count_utterances(CLIPS, MAX_CLIPS)
    # Both wear the markers equally often, and each in more than one conversation.
    scenes = min(each, max(_FEWEST_SCENES, 2 * -(-each // (2 * TURNS_EACH))))
    sizes = [len(part) for part in np.array_split(np.arange(each), scenes)]
    found = []
    for session in range(1, speakers // 2 + 1):
        for index, size in enumerate(sizes):
            found += Scene(session, "FM"[index % 2], index // 2 + 1, size).turns
    return found


def render(turn: Turn, studio: Studio) -> dict[str, bytes]:
    """The recording of a turn and the motion beside it; with the first of a scene what belongs to the whole."""
    scene = turn.scene
    played = _play(scene, studio)
    said = played.said[turn]
    rows = played.rows[said.first * MOTION_RATE_HZ // SAMPLE_RATE_HZ : -(-said.last * MOTION_RATE_HZ // SAMPLE_RATE_HZ) + 1]
    files = {
        turn.path: encode_wav(played.channels[turn.speaker][said.first : said.last]),
        turn.path.replace("/wav/", "/MOCAP_head/").replace(".wav", ".txt"): _motion_file(rows),
    }
    if turn == scene.turns[0]:
        files[scene.file("wav", ".wav")] = encode_wav(np.stack([played.channels["F"], played.channels["M"]]))
        files[scene.file("MOCAP_head")] = _motion_file(played.rows)
        files[scene.file("EmoEvaluation")] = _evaluations(played.said).encode()
        words = (f"{t.name} [{s.start_s:08.4f}-{s.end_s:08.4f}]: {s.text}\n" for t, s in played.said.items())
        files[scene.file("transcriptions")] = "".join(words).encode()
    return files


@lru_cache(maxsize=2)  # the turns of a scene are rendered one after the other, and each needs the whole
def _play(scene: Scene, studio: Studio) -> Played:
    rng = studio.rng("iemocap", scene.name)
    speakers = {letter: studio.speaker(f"Ses{scene.session:02d}_{letter}", GENDERS[letter]) for letter in GENDERS}
    said: dict[Turn, Said] = {}
    spoken: list[tuple[str, int, npt.NDArray[np.float32]]] = []
    end = round(0.5 * SAMPLE_RATE_HZ)
    for turn in scene.turns:
        gap_s = -rng.uniform(*_OVERLAP_S) if said and rng.random() < _OVERLAPPING else rng.uniform(*_GAP_S)
        first = (end + round(gap_s * SAMPLE_RATE_HZ)) // _GRID * _GRID
        code, emotion, ratings = _draw_label(rng)
        takes, text = _speak(speakers[turn.speaker], emotion, 0.5 if code == "xxx" else 1.0, studio, rng)
        spoken += [(turn.speaker, first + offset, samples) for offset, samples in takes]
        end = -(-(first + takes[-1][0] + len(takes[-1][1])) // _GRID) * _GRID
        said[turn] = Said(first, end, text, code, ratings)
    length = end + SAMPLE_RATE_HZ
    voices = {letter: _track(speakers[letter], length, [s[1:] for s in spoken if s[0] == letter], rng) for letter in GENDERS}
    wearer, other = scene.wearer, "M" if scene.wearer == "F" else "F"
    pose_deg = studio.rng("pose", speakers[wearer].name).normal(0, POSE_SPREAD_DEG, len(ROTATIONS))
    degrees = head_motion(voices[other], voices[wearer], pose_deg, rng)
    channels = {letter: voices[letter] + np.float32(_CROSSTALK) * voices["M" if letter == "F" else "F"] for letter in GENDERS}
    return Played(said, channels, _motion_rows(degrees, rng))


def _draw_label(rng: np.random.Generator) -> tuple[str, str, tuple[float, float, float]]:
    """A code, the emotion that is acted, and ratings near those of the code; where annotators do not agree it is any emotion."""
    codes = list(_CODES)
    code = codes[rng.choice(len(codes), p=[_CODES[c][0] for c in codes])]
    labels = read_card("iemocap").label_map
    emotion = labels[code] if code in labels else labels[codes[rng.integers(len(codes) - 1)]]
    valence, activation, dominance = np.clip(np.array(_CODES[code][1]) + rng.choice((-0.5, 0, 0.5), 3), 1, 5).tolist()
    return code, emotion, (valence, activation, dominance)


def _speak(
    speaker: Speaker, emotion: str, strength: float, studio: Studio, rng: np.random.Generator
) -> tuple[list[tuple[int, npt.NDArray[np.float32]]], str]:
    """Sentences as recorded, each with where it begins in the turn (samples), and their words."""
    takes: list[tuple[int, npt.NDArray[np.float32]]] = []
    texts = [sentence(rng) for _ in range(rng.integers(1, _MAX_SENTENCES + 1))]
    begin = 0
    for text in texts:
        takes.append((begin, studio.take(speaker, text, rng, emotion=emotion, strength=strength)))
        begin += len(takes[-1][1]) + round(rng.uniform(*_PAUSE_S) * SAMPLE_RATE_HZ)
    return takes, " ".join(f"{text}." for text in texts)


def _track(
    speaker: Speaker, length: int, takes: list[tuple[int, npt.NDArray[np.float32]]], rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """[length] the takes where they begin, and the noise of the speaker's microphone between them, which each take has of its own."""
    track = (coloured_noise(length, rng) * 10 ** (speaker.microphone.noise_db / 20)).astype(np.float32)
    for first, samples in takes:
        track[first : first + len(samples)] = samples
    return track


def _motion_rows(degrees: npt.NDArray[np.float64], rng: np.random.Generator) -> list[str]:
    """The motion [N, 3] as lines of a file, with a head that hardly leaves its place."""
    columns = dict(zip(ROTATIONS, degrees.T, strict=True))
    columns |= {name: 5 * wandering(len(degrees), 4.0, rng) for name in COLUMNS[3:]}
    numbers = np.arange(len(degrees))
    sink = StringIO()
    table = np.column_stack([numbers + 1, numbers / MOTION_RATE_HZ, *(columns[name] for name in COLUMNS)])
    np.savetxt(sink, table, fmt="%d" + " %.5f" * (len(COLUMNS) + 1))
    return sink.getvalue().splitlines()


def _motion_file(rows: list[str]) -> bytes:
    head = (f"Frame# Time {' '.join(COLUMNS)}", "# sec deg deg deg mm mm mm")
    return ("\n".join((*head, *rows)) + "\n").encode()


def _evaluations(said: Mapping[Turn, Said]) -> str:
    lines = [HEADER, ""]
    for turn, s in said.items():
        rated = ", ".join(f"{value:.4f}" for value in s.ratings)
        lines.append(f"[{s.start_s:.4f} - {s.end_s:.4f}]\t{turn.name}\t{s.code}\t[{rated}]")
        lines += [f"C-E{number}:\t{_CODE_NAMES.get(s.code, other)};\t()" for number, other in enumerate(_DISAGREED, 1)]
        # A mean of halves is that of two who lie half a step to either side of it, or both on it.
        for number, rounded in enumerate((np.floor, np.ceil), 1):
            valence, activation, dominance = (int(rounded(value)) for value in s.ratings)
            lines.append(f"A-E{number}:\tval {valence}; act {activation}; dom  {dominance};\t()")
        lines.append("")
    return "\n".join(lines) + "\n"
