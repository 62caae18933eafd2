"""What a fit starts from."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from rapport.core.errors import RapportError
from rapport.ray_jobs.speech_features import fitting


def test_a_shard_whose_clips_were_all_refused_brings_no_frames(tmp_path) -> None:
    frames = np.arange(12, dtype=np.float32).reshape(4, 3)
    save_file({"frames": frames}, tmp_path / "full.safetensors")
    save_file({"lengths": np.zeros(0, np.int64)}, tmp_path / "empty.safetensors")
    shards = [str(tmp_path / name) for name in ("empty.safetensors", "full.safetensors")]
    parts = [fitting._draw(path, 1.0, [0, index]) for index, path in enumerate(shards)]
    np.testing.assert_array_equal(fitting.together(parts, 4, 100), frames)
    assert fitting._statistics_of(shards, frames[:2]).frames == 4


def test_without_a_frame_the_settings_to_change_are_told() -> None:
    with pytest.raises(RapportError, match=r"of 0 frames none .*corpora.*kmeans.start_frames, which is 50"):
        fitting.together([np.zeros((0, 1), np.float32), np.zeros((0, 3), np.float32)], 0, 50)
