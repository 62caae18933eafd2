"""Made dramas as MELD's tables: `train_sent_emo.csv`, `dev_sent_emo.csv`, `test_sent_emo.csv`."""

import csv
import io
from collections.abc import Mapping

from rapport.datasets.conversations.card import read_conversation_card
from rapport.datasets.conversations.corpora.meld import FILES, HEADER
from rapport.datasets.synthetic.dramas import EPISODE, Dramas

# MELD's third column of labels, which no benchmark of ours reads.
_SENTIMENT: Mapping[str, str] = {"neutral": "neutral", "joy": "positive", "surprise": "positive"}


def files(made: Dramas) -> dict[str, bytes]:
    """File name to content."""
    raw_of = {label: raw for raw, label in read_conversation_card("meld").label_map.items()}
    written = {}
    for split, name in FILES.items():
        sink = io.StringIO(newline="")
        table = csv.writer(sink, lineterminator="\n")
        table.writerow(HEADER)
        number = 0
        for conversation in (c for c in made.conversations if c.split == split):
            dialogue = int(conversation.dialogue_id)
            for line in conversation.lines:
                number += 1
                raw = raw_of[line.label or ""]
                times = [f"00:{line.turn // 12:02d}:{line.turn % 12 * 5 + second:02d},000" for second in (0, 4)]
                head = (number, line.text, line.speaker, raw, _SENTIMENT.get(raw, "negative"))
                table.writerow((*head, dialogue, line.line_id, 1, 1 + dialogue // EPISODE, *times))
        written[name] = sink.getvalue().encode()
    return written
