"""Whisper and CTC transcribers, on tiny random checkpoints written to disk as `transformers` writes them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    HubertConfig,
    HubertModel,
    Wav2Vec2Config,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizer,
)

from rapport.core.errors import RapportError
from rapport.models.backends.asr import whisper

NOISE = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)


def write_ctc(folder: Path) -> None:
    """A CTC model whose bias makes it hear "a" everywhere."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {token: i for i, token in enumerate(["<pad>", "<s>", "</s>", "<unk>", "|", "a", "b", "c"])}
    (folder / "letters.json").write_text(json.dumps(vocabulary))
    config = Wav2Vec2Config(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8,) * 7,
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
        pad_token_id=0,
    )
    model = Wav2Vec2ForCTC(config)
    with torch.no_grad():
        model.lm_head.bias[5] = 100.0
    model.save_pretrained(folder)
    Wav2Vec2FeatureExtractor().save_pretrained(folder)
    Wav2Vec2CTCTokenizer(str(folder / "letters.json")).save_pretrained(folder)


def write_whisper(folder: Path) -> None:
    """A Whisper of random weights that writes at most three tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    special = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>"]
    vocabulary = {token: i for i, token in enumerate([*"abcdefgh", "Ġ", *special])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    start, end = vocabulary["<|startoftranscript|>"], vocabulary["<|endoftext|>"]
    config = WhisperConfig(
        vocab_size=len(vocabulary),
        num_mel_bins=80,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        decoder_start_token_id=start,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    torch.manual_seed(1)
    model = WhisperForConditionalGeneration(config)
    model.generation_config.max_new_tokens = 3
    model.generation_config.suppress_tokens = list(range(vocabulary["Ġ"], len(vocabulary)))
    model.save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=80).save_pretrained(folder)
    WhisperTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt")).save_pretrained(folder)


@pytest.mark.parametrize("write", [write_ctc, write_whisper])
def test_clips_are_heard_together_as_they_are_alone(write, tmp_path: Path) -> None:
    write(tmp_path)
    transcriber = whisper.load(str(tmp_path), device="cpu")
    clips = [NOISE, np.zeros(16_000, np.float32), NOISE[:900], np.tile(NOISE, 31), NOISE[4_000:]]
    assert transcriber.transcribe_all(clips) == [transcriber.transcribe(clip) for clip in clips]
    assert transcriber.transcribe_all([]) == []


@pytest.mark.parametrize("write", [write_ctc, write_whisper])
def test_a_checkpoint_in_a_folder_transcribes_and_answers_the_same_again(write, tmp_path: Path) -> None:
    write(tmp_path)
    transcriber = whisper.load(str(tmp_path), device="cpu")
    text = transcriber.transcribe(NOISE)
    assert text
    assert set(text) <= set("abcdefgh ")
    assert whisper.load(str(tmp_path), device="cpu").transcribe(NOISE) == text
    assert transcriber.transcribe(np.zeros(16_000, np.float32)) == ""
    assert transcriber.transcribe(np.zeros(0, np.float32)) == ""
    assert transcriber.transcribe(NOISE[:50]) != ""


def test_long_speech_is_heard_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_ctc(tmp_path)
    monkeypatch.setattr(whisper, "MAX_PIECE_S", 0.4)
    assert whisper.load(str(tmp_path), device="cpu").transcribe(NOISE) == "a a a"


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RapportError, match="Whisper or CTC model"):
        whisper.load(str(tmp_path))


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(RapportError, match="is a bert model: wanted Whisper"):
        whisper.load(str(tmp_path))


def test_an_encoder_without_its_letter_head_is_refused(tmp_path: Path) -> None:
    write_ctc(tmp_path)
    small = HubertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, conv_dim=(8,) * 7)
    HubertModel(small).save_pretrained(tmp_path)
    with pytest.raises(RapportError, match="lacks 2 weights of a hubert transcriber"):
        whisper.load(str(tmp_path))
