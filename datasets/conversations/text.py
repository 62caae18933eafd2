"""Text as prompts show it, and as two texts are compared."""

import re
import unicodedata

# Typographic marks to what a keyboard has. The C1 codes are the same marks of Windows-1252, which some copies carry unconverted.
_MARKS = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛′ʼ\x91\x92", "'"),
        **dict.fromkeys("“”„‟″«»\x93\x94", '"'),
        **dict.fromkeys("‐‑‒–−\x96", "-"),
        **dict.fromkeys("—―\x97", " - "),
        **dict.fromkeys("…\x85", "..."),
        **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff", ""),
    }
)
_WORD = re.compile(r"[^\W_]+")


def clean(text: str) -> str:
    """The text with plain quotes, dashes and ellipses, composed letters and single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).translate(_MARKS).split())


def words_of(text: str) -> tuple[str, ...]:
    """The words in lower case, without marks: what stays the same when two people write down the same line."""
    return tuple(_WORD.findall(clean(text).replace("'", "").casefold()))
