"""The token that pads, for a tokenizer that may have none of its own. Imports no torch."""

from typing import Any

PAD = "<|pad|>"

# Reserved for padding in published vocabularies, where no text gives them: Llama 3, then the common older name.
_RESERVED_PADS = ("<|finetune_right_pad_id|>", "<pad>")


def ensure_pad(tokenizer: Any) -> int:
    """The id of a token that only pads: the tokenizer's own, a reserved one, or a new last one."""
    own = tokenizer.pad_token
    if own is None or own in (tokenizer.eos_token, tokenizer.bos_token, tokenizer.unk_token):
        known = tokenizer.get_vocab()
        tokenizer.add_special_tokens({"pad_token": next((p for p in _RESERVED_PADS if p in known), PAD)})
    return int(tokenizer.pad_token_id)
