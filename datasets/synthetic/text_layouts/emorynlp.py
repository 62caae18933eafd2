"""Made dramas as EmoryNLP's files: the benchmark's tables, and the original's nested JSON with the same lines."""

import csv
import io
import json
import re

from rapport.datasets.conversations.corpora.emorynlp import FILES, HEADER, ORIGINALS
from rapport.datasets.synthetic.dramas import Dramas

_SCENE = re.compile(r"s(\d+)_e(\d+)_c(\d+)")


def files(made: Dramas) -> dict[str, bytes]:
    """File name to content."""
    written = {}
    for split in FILES:
        sink = io.StringIO(newline="")
        table = csv.writer(sink, lineterminator="\n")
        table.writerow(HEADER)
        episodes: dict[str, list[dict[str, object]]] = {}
        for conversation in (c for c in made.conversations if c.split == split):
            match = _SCENE.fullmatch(conversation.dialogue_id)
            assert match is not None, f"{conversation.dialogue_id} was not made for this layout"
            season, episode, scene = map(int, match.groups())
            utterances = []
            for line in conversation.lines:
                times = [f"00:{line.turn // 12:02d}:{line.turn % 12 * 5 + second:02d}.000" for second in (0, 4)]
                table.writerow((line.text, str([line.speaker]), line.label, scene, line.turn + 1, season, episode, *times))
                words = {"transcript": line.text, "tokens": [line.text.split()], "emotion": line.label}
                utterances.append({"utterance_id": line.line_id, "speakers": [line.speaker], **words})
            name = conversation.dialogue_id.rpartition("_")[0]
            episodes.setdefault(name, []).append({"scene_id": conversation.dialogue_id, "utterances": utterances})
        listed = [{"episode_id": name, "scenes": scenes} for name, scenes in episodes.items()]
        written[FILES[split]] = sink.getvalue().encode()
        written[ORIGINALS[split]] = (json.dumps({"season_id": split, "episodes": listed}, indent=1) + "\n").encode()
    return written
