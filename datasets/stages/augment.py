"""Augmentation of training clips: noise, rooms, microphones, codecs, tempo, pitch, windows, each with its own probability.

What happens to a clip is a function of the clip and one seed. Each step draws from a generator of its own, made of the seed and the
step, so switching one step on or off leaves the draws of the others alone; no global random state is read or changed, and threads may
augment at once.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from rapport.core.audio import SAMPLE_RATE_HZ, decode, resample
from rapport.core.errors import RapportError
from rapport.datasets.scan import audio_files
from rapport.datasets.stages import effects
from rapport.datasets.stages.augment_config import STEPS, AugmentConfig, StepName
from rapport.datasets.stages.effects import Samples

Random = np.random.Generator


class Augment:
    """A clip [S] and a seed to the changed clip [S'], both 16 kHz mono float32; the clip given is never written to.

    `noises` are recordings [S] to draw from, `impulse_responses` rooms [S]; without any, rooms are made up.
    Raises RapportError when the noise step is on and there is no noise.
    """

    def __init__(self, config: AugmentConfig, noises: Sequence[Samples] = (), impulse_responses: Sequence[Samples] = ()):
        self.config = config
        # Kept as the sequence it is: a hundred hours of noise are read from disk one recording at a time.
        self.noises = noises
        self.impulse_responses = list(impulse_responses)
        if config.noise.p > 0 and not any(len(n) and effects.power(n) > 0 for n in noises):
            raise RapportError(
                f"augment.noise.p is {config.noise.p} but there is no noise: name a prepared noise corpus, or set augment.noise.p to 0"
            )
        self._steps: Mapping[StepName, Callable[[Samples, Random], Samples]] = {name: getattr(self, f"_{name}") for name in STEPS}

    def __call__(self, samples: Samples, seed: int) -> Samples:
        for name in self.config.active:
            random = np.random.default_rng([STEPS.index(name), seed])
            if len(samples) and random.random() < self.config.step(name).p:
                samples = self._steps[name](samples, random)
        return np.ascontiguousarray(samples, dtype=np.float32)

    def _reversal(self, samples: Samples, random: Random) -> Samples:
        return samples[::-1]

    def _speed(self, samples: Samples, random: Random) -> Samples:
        return effects.change_speed(samples, random.uniform(*self.config.speed.factor))

    def _tempo(self, samples: Samples, random: Random) -> Samples:
        config = self.config.tempo
        rate = random.uniform(*config.rate)
        if config.method == "phase_vocoder":
            return effects.change_tempo_by_phase_vocoder(samples, rate, config.n_fft)
        return effects.change_tempo(samples, rate)

    def _pitch(self, samples: Samples, random: Random) -> Samples:
        return effects.change_pitch(samples, random.uniform(*self.config.pitch.semitones))

    def _pad(self, samples: Samples, random: Random) -> Samples:
        before, after = (round(s * SAMPLE_RATE_HZ) for s in random.uniform(*self.config.pad.silence_s, size=2))
        return np.pad(samples, (before, after))

    def _reverberation(self, samples: Samples, random: Random) -> Samples:
        config = self.config.reverberation
        if self.impulse_responses:
            return effects.reverberate(samples, self.impulse_responses[random.integers(len(self.impulse_responses))])
        rt60_s = max(random.uniform(*config.rt60_s), 0.01)
        tail = random.standard_normal(round(rt60_s * SAMPLE_RATE_HZ), dtype=np.float32)
        return effects.reverberate(samples, effects.room(tail, rt60_s, random.uniform(*config.direct_db)))

    def _noise(self, samples: Samples, random: Random) -> Samples:
        config = self.config.noise
        snr_db = random.uniform(*config.snr_db)
        noise = stretch_of(self.noises[int(random.integers(len(self.noises)))], len(samples), random)
        return effects.mix_at_snr(samples, noise, snr_db, over_active_speech=config.speech_level == "active")

    def _gaussian(self, samples: Samples, random: Random) -> Samples:
        deviation = random.uniform(*self.config.gaussian.deviation)
        return samples + np.float32(deviation) * random.standard_normal(len(samples), dtype=np.float32)

    def _equaliser(self, samples: Samples, random: Random) -> Samples:
        return effects.equalise(samples, random.uniform(*self.config.equaliser.gain_db, size=effects.OCTAVES))

    def _gain(self, samples: Samples, random: Random) -> Samples:
        louder = samples * np.float32(10 ** (random.uniform(*self.config.gain.gain_db) / 20))
        return np.clip(louder, -1, 1) if self.config.gain.clip else louder

    def _band_limit(self, samples: Samples, random: Random) -> Samples:
        config = self.config.band_limit
        return effects.limit_band(samples, random.uniform(*config.low_hz), random.uniform(*config.high_hz))

    def _codec(self, samples: Samples, random: Random) -> Samples:
        config = self.config.codec
        name = config.names[random.integers(len(config.names))]
        return effects.encode_and_decode(samples, effects.CODECS[name], random.uniform(*config.compression))

    def _window(self, samples: Samples, random: Random) -> Samples:
        length = round(random.uniform(*self.config.window.length_s) * SAMPLE_RATE_HZ)
        start = random.integers(max(len(samples) - length, 0) + 1)
        return samples[start : start + length]


def stretch_of(noise: Samples, length: int, random: Random) -> Samples:
    """A stretch [length] from a random place of a recording, which is repeated when it is too short."""
    if len(noise) < length:
        noise = np.tile(noise, -(-length // len(noise)))
    start = random.integers(len(noise) - length + 1)
    return noise[start : start + length]


def load_impulse_responses(folder: str) -> list[Samples]:
    """Every channel of every recording below a folder or URI as one impulse response [S], 16 kHz, in the order of names.

    Raises RapportError when there is none, and AudioError for a file that cannot be decoded.
    """
    responses: list[Samples] = []
    for path in audio_files(folder):
        channels, rate_hz = decode(path)
        responses += [resample(channel, rate_hz, SAMPLE_RATE_HZ) for channel in channels if np.abs(channel).max() > 0]
    if not responses:
        raise RapportError(f"{folder}: no impulse response; wanted a folder with .wav or .flac recordings of rooms")
    return responses


def make_augment(config: AugmentConfig, noises: Sequence[Samples]) -> Augment:
    """The augmentation that a configuration describes, with the rooms that it names."""
    recordings = config.reverberation.recordings
    rooms = load_impulse_responses(recordings) if recordings and config.reverberation.p > 0 else []
    return Augment(config, noises, rooms)
