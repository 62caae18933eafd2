"""The embedded base model: a small Llama with random weights and a byte-level tokenizer, on disk in the layout of Hugging Face.

It is loaded from there as any published model is, so that there is one way of loading.
"""

from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from rapport.models.backends.llm.base import load_tokenizer, save_base
from rapport.models.backends.llm.config import EmbeddedLlamaConfig
from rapport.models.backends.llm.padding import PAD

BOS, EOS = "<|begin_of_text|>", "<|eot_id|>"

# As in Llama 3: contractions, words with the character before them, digits in threes, punctuation, spaces.
_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"

_QUICK_TURN = 0.05
"""Radians a token: positions that turn slower do not tell neighbours apart."""
_SHARPNESS = 8.0
"""Of heads that look back: the token at their distance gets about 0.95 of their attention."""
_SHY = 0.3


def write_embedded(
    folder: str | Path, texts: Iterable[str], config: EmbeddedLlamaConfig, seed: int = 0, tokenizer: str | Path | None = None
) -> Path:
    """Train the tokenizer on the texts, or take the one in the folder `tokenizer`, draw the weights, and write both; returns the folder.

    Raises RapportError when that folder holds no tokenizer.
    """
    folder = Path(folder)
    tokens = train_tokenizer(texts, config.vocabulary) if tokenizer is None else load_tokenizer(str(tokenizer))
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(llama_config(config, tokens))
        look_back(model, config.look_back)
    # Not by the model's own `save_pretrained`: it writes nothing on any but the first worker of a distributed training.
    model.config.architectures = [type(model).__name__]
    save_base(model, tokens, folder, model.state_dict())
    return folder


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer that marks the beginning, and reads any text whatever it was trained on."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(_WORDS), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=[BOS, EOS, PAD],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, tokenizer.token_to_id(BOS))])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=BOS, eos_token=EOS, pad_token=PAD, clean_up_tokenization_spaces=False
    )


def look_back(model: LlamaForCausalLM, heads: int) -> None:
    """Let the first `heads` heads of the first layer begin by looking one, two, ... tokens back, whatever stands there.

    Their queries and keys begin with biases whose product, by the rotary positions, is highest at that distance.
    """
    if not heads:
        return
    attention = model.model.layers[0].self_attn
    width = attention.head_dim
    turns = model.model.rotary_emb.inv_freq.detach().cpu()  # [width / 2] radians a token
    quick = (turns > _QUICK_TURN).float()
    size = (_SHARPNESS * width**0.5) ** 0.5
    with torch.no_grad():
        for head in range(heads):
            rows, angles = slice(head * width, (head + 1) * width), turns * (head + 1)
            attention.k_proj.bias[rows] = size * torch.cat([quick, torch.zeros_like(quick)])
            attention.q_proj.bias[rows] = size * torch.cat([quick * angles.cos(), -quick * angles.sin()])
            # What is read counts for little at first beside where it stands.
            attention.q_proj.weight[rows] *= _SHY
            attention.k_proj.weight[rows] *= _SHY


def llama_config(config: EmbeddedLlamaConfig, tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    """The network's configuration for that tokenizer."""
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=config.hidden,
        intermediate_size=config.mlp,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.heads,
        max_position_embeddings=config.max_positions,
        tie_word_embeddings=config.tied,
        initializer_range=config.initializer_range,
        attention_bias=config.look_back > 0,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
