"""EMO-DB: ten German actors say ten sentences in seven emotions (535 files, 16 kHz).

Source: http://emodb.bilderbar.info, free to use, Burkhardt et al. 2005.
Layout: `wav/03a01Fa.wav`, read at any depth. The name is fixed by position:

    1-2   speaker    03 and 08 to 16
    3-5   sentence   a01 a02 a04 a05 a07 b01 b02 b03 b09 b10
    6     emotion    N neutral, F Freude (happy), T Trauer (sad), W Wut (angry), A Angst (fearful), E Ekel (disgust), L Langeweile (bored)
    7     version    a, b, c, ... when a sentence was recorded more than once
"""

import re
from collections.abc import Mapping
from pathlib import Path

from rapport.core.config import Config
from rapport.core.schema import Utterance
from rapport.datasets.card import read_card
from rapport.datasets.scan import Reject, Scan, audio_files, scan_files, stem, write_tones

WANTED = "EMO-DB names such as wav/03a01Fa.wav (speaker, sentence, emotion, version), at any depth"
# No split was published with the corpus: use split.method kfold, as most papers leave speakers out in turn.
HELD_OUT: Mapping[str, Mapping[str, tuple[str, ...]]] = {}

_NAME = re.compile(r"(\d\d)([ab]\d\d)([a-z])([a-z]?)", re.IGNORECASE)
_GENDERS = {
    "03": "male",
    "08": "female",
    "09": "female",
    "10": "male",
    "11": "male",
    "12": "male",
    "13": "female",
    "14": "female",
    "15": "male",
    "16": "female",
}
_SENTENCES = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}


class Options(Config):
    """EMO-DB has nothing to choose."""


def scan(root: str, options: Options) -> Scan:
    """The rows of EMO-DB below `root`, from file names alone.

    Raises RapportError when none is found.
    """
    return scan_files(root, audio_files(root, (".wav",)), _parse, wanted=WANTED)


def write_example(folder: Path) -> None:
    """Three short clips by two speakers in the true layout."""
    write_tones(folder, ("wav/03a01Fa.wav", "wav/03a01Nc.wav", "wav/08b02Wd.wav"))


def _parse(path: str) -> Utterance:
    name = stem(path)
    match = _NAME.fullmatch(name)
    if match is None:
        raise Reject("name", f"{path}: wanted speaker, sentence, emotion and version, such as 03a01Fa")
    speaker, sentence, emotion = match[1], match[2].lower(), match[3].upper()
    labels = read_card("emodb").label_map
    known: tuple[tuple[str, str, Mapping[str, str]], ...] = (
        ("speaker", speaker, _GENDERS),
        ("sentence", sentence, _SENTENCES),
        ("emotion", emotion, labels),
    )
    for field, value, codes in known:
        if value not in codes:
            raise Reject("unknown_code", f"{path}: {field} {value!r} is not one of {', '.join(codes)}")
    return Utterance(
        utterance_id=f"emodb/{name}",
        corpus="emodb",
        audio_path=path,
        speaker_id=f"emodb/{speaker}",
        gender=_GENDERS[speaker],
        language="de-DE",
        text=_SENTENCES[sentence],
        emotion=labels[emotion],
        emotion_raw=emotion,
    )
