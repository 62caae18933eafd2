"""The made ESD has the counts of the published one, and dialogues that its recordings can be found for."""

from collections import Counter, defaultdict

import numpy as np
import pytest

from rapport.core.audio import load_speech
from rapport.datasets.corpora import esd as corpus
from rapport.datasets.dialogues import emosc
from rapport.datasets.synthetic.layouts import esd
from rapport.datasets.synthetic.plan import Request
from rapport.datasets.synthetic.studio import Studio
from rapport.models.backends.asr import pocketsphinx
from rapport.models.backends.tts import espeak


def write(folder, request, clips=None):
    """The first clip of every speaker as made, which brings the tables; the others empty."""
    studio = Studio(espeak.load(), request.seed)
    seen = set()
    for clip in esd.plan(request):
        files = {clip.path: b""} if clip.speaker in seen else esd.render(clip, studio)
        seen.add(clip.speaker)
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
    return corpus.scan(str(folder), corpus.Options()).rows


def test_the_whole_has_the_counts_of_the_published_corpus() -> None:
    clips = esd.plan(Request())
    assert len(clips) == 17_500
    assert Counter(c.speaker for c in clips) == {f"{n:04d}": 1750 for n in range(11, 21)}
    assert Counter(c.emotion for c in clips) == dict.fromkeys(("Angry", "Happy", "Neutral", "Sad", "Surprise"), 3500)
    assert {"0011/Neutral/0011_000001.wav", "0011/Angry/0011_000351.wav", "0020/Surprise/0020_001750.wav"} <= {c.path for c in clips}


def test_in_part_of_it_a_speaker_says_each_of_many_texts_in_two_emotions(tmp_path) -> None:
    rows = write(tmp_path, Request(10, 30))
    assert Counter((r.speaker_id, r.emotion) for r in rows) == {
        (f"esd/{n:04d}", e): 6 for n in range(11, 21) for e in ("angry", "happy", "neutral", "sad", "surprised")
    }
    emotions = defaultdict(set)
    for row in rows:
        emotions[row.speaker_id, row.text].add(row.emotion)
    assert len(emotions) == 150
    assert all(len(e) == 2 for e in emotions.values())
    assert len({text for _, text in emotions}) == 150
    assert len({frozenset(e) for e in emotions.values()}) == 10


def test_further_tens_of_speakers_say_texts_of_their_own() -> None:
    said = defaultdict(set)
    for clip in esd.plan(Request(80, 50)):
        said[esd.text_of(clip)].add((int(clip.speaker) - 11) // 10)
    assert len(said) == 2000
    assert all(len(tens) == 1 for tens in said.values())


def test_every_dialogue_finds_recordings_of_both_variants(tmp_path) -> None:
    rows = write(tmp_path, Request(4, 12))
    recorded = {(emosc.sentence_key(r.text, keep_case=True), r.emotion) for r in rows}
    found = emosc.read_dialogues(tmp_path / emosc.FILE)
    assert not found.bad
    assert len(found.scenarios) > 12
    for scenario in found.scenarios:
        assert all((emosc.sentence_key(t.text, keep_case=True), t.emotion) in recorded for t in scenario.current)


@pytest.mark.slow
def test_words_and_emotions_can_be_heard_from_speakers_who_were_not_trained_on() -> None:
    import opensmile
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    request = Request(6, 20)
    studio = Studio(espeak.load(), request.seed)
    clips = esd.plan(request)
    speech = {clip: load_speech(esd.render(clip, studio)[clip.path]).samples for clip in clips}
    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
    features = {clip: smile.process_signal(samples, 16_000).to_numpy()[0] for clip, samples in speech.items()}
    tested = ("0014", "0016")  # a man and a woman
    train, test = ([c for c in clips if (c.speaker in tested) is unknown] for unknown in (False, True))
    model = make_pipeline(StandardScaler(), SVC()).fit([features[c] for c in train], [c.emotion for c in train])
    assert np.mean(model.predict([features[c] for c in test]) == [c.emotion for c in test]) > 0.45

    texts = {c: esd.text_of(c) for c in clips}
    ears = pocketsphinx.load(sentences=sorted(set(texts.values())))
    heard = [ears.transcribe(speech[c]) == pocketsphinx.plain_words(texts[c]) for c in test[::2]]
    assert np.mean(heard) > 0.7
