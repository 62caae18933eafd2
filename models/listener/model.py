"""Head motion from features of the other person's speech.

    features [B, T, D] -> scaled rows -> network -> hidden [B, T, C] -> head -> roll, pitch, yaw [B, T, 3] in degrees

Axes: B batch, T frames, S samples at 16 kHz, D width of a row of features, C channels, A = 3 angles (roll, pitch, yaw).
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rapport.core.errors import RapportError
from rapport.core.pose import ROTATIONS, unwrap
from rapport.models.listener.config import FrontEndConfig, ListenerConfig, PoseKind
from rapport.models.listener.faithful import FaithfulNetwork
from rapport.models.listener.front_end import VOICE, FrontEnd, load_front_end
from rapport.models.listener.heads import Motion, MotionHead, fit_correlation
from rapport.models.listener.lstm import CausalLstm, PublishedLstm
from rapport.models.listener.shaping import MotionShaper
from rapport.models.listener.tcn import CausalTcn

_FARTHEST = 5.0  # deviations: what no training turn held must not throw the head about
_WIDTHS = {"mfcc": 28, "egemaps": 88}


class HeadMotionModel(nn.Module):
    """What a listener's head does while somebody speaks."""

    feature_mean: Tensor
    feature_deviation: Tensor
    rest: Tensor
    """[3] the resting pose: the mean of the training turns, degrees."""
    spread: Tensor
    """[3] deviation of the training turns, degrees."""
    noise_correlation: Tensor
    """[3] of the noise by which drawn motion leaves its mean."""

    def __init__(
        self,
        config: ListenerConfig,
        *,
        width: int | None = None,
        front_end: FrontEnd | None = None,
        front_end_identity: Mapping[str, Any] | None = None,
    ) -> None:
        """`width` is D, which the settings tell unless the front end is a pretrained encoder.

        `front_end` is one that is loaded already; `front_end_identity` is that of the one whose features the model was trained on.
        Raises RapportError when D is not known, or `front_end` is of another width or identity.
        """
        super().__init__()
        self.config = config
        self._identity = None if front_end_identity is None else dict(front_end_identity)
        self._front_end: FrontEnd | None = None
        self._hashed: tuple[tuple[object, ...], str] | None = None
        self.width = width or (front_end.width if front_end else feature_width(config.front_end))
        if front_end is not None:
            self._front_end = self._fitting(front_end)
        network = config.network
        self.head: MotionHead | None = None
        self.network: nn.Module
        if network.kind == "faithful":
            self.network = FaithfulNetwork(self.width, network.faithful)
        elif network.kind == "lstm":
            self.network = PublishedLstm(self.width)
        else:
            trunk = CausalTcn(self.width, network.tcn) if network.kind == "tcn" else CausalLstm(self.width, network.lstm_linear)
            self.network = trunk
            self.head = MotionHead(trunk.output_width, config.head.kind == "gaussian")
        self.register_buffer("feature_mean", torch.zeros(self.width))
        self.register_buffer("feature_deviation", torch.ones(self.width))
        for name, value in (("rest", 0.0), ("spread", 1.0), ("noise_correlation", 0.0)):
            self.register_buffer(name, torch.full((len(ROTATIONS),), value))

    @property
    def front_end_identity(self) -> Mapping[str, Any]:
        """JSON that settles which features it was made for."""
        return self._identity if self._identity is not None else self.front_end.identity

    @property
    def front_end(self) -> FrontEnd:
        """What makes its features, loaded when first asked for. Raises RapportError when it is not the one of the training."""
        if self._front_end is None:
            self._front_end = self._fitting(load_front_end(self.config.front_end))
        return self._front_end

    def forward(self, features: Tensor, lengths: Tensor) -> Motion:
        """The motion [B, T, 3], in degrees, to `features` [B, T, D] of which the first `lengths` [B] rows of each turn are valid.

        What lies beyond a turn's length means nothing. The look-ahead is taken out: row t is the pose at the time of frame t.
        """
        valid = torch.arange(features.shape[1], device=features.device) < lengths[:, None]
        rows = self.scaled(features).masked_fill(~valid[..., None], 0)
        if self.head is None:
            return self._in_degrees(Motion(self.network(rows, valid), None))
        ahead = self.config.network.look_ahead_frames
        hidden = self.network(F.pad(rows, (0, 0, 0, ahead)))[:, ahead:]
        return self.decode(hidden)

    def scaled(self, features: Tensor) -> Tensor:
        """Rows as the network takes them, from features [..., D]."""
        if not self.config.normalise:
            return features
        return ((features - self.feature_mean) / self.feature_deviation).clamp(-_FARTHEST, _FARTHEST)

    def decode(self, hidden: Tensor, deviation: bool = True) -> Motion:
        """Motion [..., 3] in degrees, from the hidden layer [..., C] of a network that has a head; without its deviation if not wanted."""
        if self.head is None:
            raise RapportError(f"network.kind {self.config.network.kind} ends in angles and has no hidden layer to decode")
        return self._in_degrees(self.head(hidden, deviation))

    def _in_degrees(self, motion: Motion) -> Motion:
        log_deviation = None if motion.log_deviation is None else motion.log_deviation + self.spread.log()
        return Motion(torch.addcmul(self.rest, self.spread, motion.mean), log_deviation)

    @torch.no_grad()
    def fit_normalisation(self, turns: Iterable[tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]]) -> None:
        """Take mean and deviation of the features [T, D] and target angles [T, 3] of the training turns, before training.

        Without `normalise` they stay as they are, 0 and 1. Raises RapportError when there is no frame.
        """
        if not self.config.normalise:
            return
        features, angles = _Moments(self.width), _Moments(len(ROTATIONS))
        for rows, degrees in turns:
            features.add(rows)
            angles.add(degrees)
        for moments, mean, deviation in ((features, self.feature_mean, self.feature_deviation), (angles, self.rest, self.spread)):
            found = moments.mean_and_deviation()
            mean.copy_(torch.from_numpy(found[0]))
            deviation.copy_(torch.from_numpy(found[1]))

    @torch.no_grad()
    def fit_noise(self, residuals: Iterable[npt.NDArray[np.floating]]) -> None:
        """Take the correlation of drawn motion from residuals [T, 3] of training turns, each over the deviation that was told of it."""
        self.noise_correlation.copy_(torch.from_numpy(fit_correlation(residuals)))

    def shaper(self, seed: int | None = None) -> MotionShaper:
        """The steps from told motion to poses, at the beginning of a motion. Raises RapportError for a seed where nothing can be drawn."""
        a, b, c = self.rest.tolist()
        return MotionShaper(self.config, (a, b, c), self.noise_correlation.tolist(), seed)

    def predict(self, samples: npt.NDArray[np.floating], seed: int | None = None) -> npt.NDArray[np.float64]:
        """Poses [T, 3], in degrees, to a recording [S] of speech at 16 kHz; drawn by the seed where one is given.

        T is floor(S * frame_rate_hz / 16000). Raises RapportError as the front end and `predict_features` do.
        """
        return self.predict_features(self.front_end.features(samples), seed)

    @torch.inference_mode()
    def predict_features(
        self, features: npt.NDArray[np.floating], seed: int | None = None, *, shaped: bool = True
    ) -> npt.NDArray[np.float64]:
        """Poses [T, 3], in degrees, to the features [T, D] of a recording; without `shaped` what the network itself tells, neither drawn
        nor filtered nor limited.

        Raises RapportError for features of another width, or in training mode, where parts of the network are left out at random.
        """
        if self.training:
            raise RapportError("the model is in training mode: call model.eval() before predicting")
        if features.ndim != 2 or features.shape[1] != self.width:
            raise RapportError(f"features are {list(features.shape)}: the model wants [T, {self.width}]")
        shape = self.shaper(seed)
        if not len(features):
            return np.zeros((0, len(ROTATIONS)))
        rows = torch.from_numpy(features).to(self.rest)[None]
        motion = self(rows, torch.tensor([len(features)], device=rows.device))
        if not shaped:
            return motion.mean[0].double().cpu().numpy()
        turn = Motion(motion.mean[0], None if motion.log_deviation is None else motion.log_deviation[0])
        return np.array([shape(mean, deviation) for mean, deviation in zip(*told(turn), strict=True)])

    def fingerprint(self) -> str:
        """SHA-256, in hex, over settings and weights: equal fingerprints move alike. Quick while no weight changes."""
        tensors = self.state_dict()
        # Torch counts the changes of a tensor; one that was moved lies elsewhere.
        seen = tuple((tensor.data_ptr(), tensor._version, tensor.dtype) for tensor in tensors.values())
        if self._hashed is None or self._hashed[0] != seen:
            self._hashed = seen, self._hash(tensors)
        return self._hashed[1]

    def _hash(self, tensors: Mapping[str, Tensor]) -> str:
        digest = hashlib.sha256(json.dumps(self.config.model_dump(mode="json"), sort_keys=True).encode())
        for name, tensor in sorted(tensors.items()):
            digest.update(f"{name}{tuple(tensor.shape)}".encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def _fitting(self, front_end: FrontEnd) -> FrontEnd:
        if front_end.width != self.width:
            raise RapportError(f"the front end gives {front_end.width} numbers a frame, the model wants {self.width}")
        if self._identity is not None and dict(front_end.identity) != self._identity:
            raise RapportError(f"the model was trained on features of {self._identity}, the front end is {dict(front_end.identity)}")
        return front_end


def told(motion: Motion) -> tuple[list[list[float]], Sequence[list[float] | None]]:
    """Means and deviations of frames of motion [T, 3], in degrees, as plain numbers."""
    mean: list[list[float]] = motion.mean.tolist()
    return mean, [None] * len(mean) if motion.log_deviation is None else motion.log_deviation.exp().tolist()


def to_targets(degrees: npt.NDArray[np.floating], pose: PoseKind) -> npt.NDArray[np.float32]:
    """[T, 3] what a model of this kind of pose learns to give for a turn's poses [T, 3]: no jumps, and centred when relative.

    How the markers sat on the head, and how the listener sat in the chair, is nothing that the speaker's voice could tell.
    """
    angles = unwrap(degrees)
    if pose == "relative" and len(angles):
        angles = angles - angles.mean(0)
    return angles.astype(np.float32)


def feature_width(config: FrontEndConfig) -> int:
    """D of a front end. Raises RapportError for a pretrained encoder, which tells its width only when it is loaded."""
    if config.kind == "causal":
        return config.causal.bands + len(VOICE)
    if config.kind not in _WIDTHS:
        raise RapportError(f"the width of front_end.kind {config.kind} is known when it is loaded: give the model `width` or `front_end`")
    return _WIDTHS[config.kind]


class _Moments:
    """Mean and deviation of columns, gathered turn by turn in double precision."""

    def __init__(self, width: int) -> None:
        self._count, self._sum, self._squares = 0, np.zeros(width), np.zeros(width)

    def add(self, rows: npt.NDArray[np.floating]) -> None:
        exact = np.asarray(rows, np.float64)
        self._count += len(exact)
        self._sum += exact.sum(0)
        self._squares += np.square(exact).sum(0)

    def mean_and_deviation(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        if not self._count:
            raise RapportError("there is no frame to normalise by: the training split is empty")
        mean = self._sum / self._count
        deviation = np.sqrt(np.maximum(self._squares / self._count - mean**2, 0))
        # A column that never changes, up to rounding, has no scale of its own.
        return mean.astype(np.float32), np.where(deviation > 1e-5, deviation, 1).astype(np.float32)
