"""Made dramas on disk: tables in the layout of a published corpus, with clues, seeds, knowledge and the bounds of accuracy beside them.

A layout is one file in `datasets/synthetic/text_layouts/` with `files(made) -> {name: bytes}`, so that the corpus' own reader reads made
and real conversations alike. The manifest is written last and says that a machine made them.
"""

from typing import Any

from rapport.core import plugins, storage
from rapport.core.errors import RapportError
from rapport.datasets.conversations.clues import PERSONAS, SCENES
from rapport.datasets.conversations.knowledge import FILE as KNOWLEDGE
from rapport.datasets.conversations.knowledge import write_knowledge
from rapport.datasets.conversations.records import MADE, count
from rapport.datasets.conversations.seeds import FILE as SEEDS
from rapport.datasets.conversations.seeds import write_seeds
from rapport.datasets.conversations.tables import to_json_lines
from rapport.datasets.synthetic.drama_knowledge import knowledge_of
from rapport.datasets.synthetic.dramas import DramaConfig, bounds, make_dramas

LAYOUTS = "datasets.synthetic.text_layouts"
BOUNDS = "bounds.json"
# Raise this when the same settings would come out as other conversations.
FORMAT = 3
LICENCE = (
    "Made by a machine; Rapport claims no rights. No line of a published corpus is in it. Files and columns follow the published corpus of "
    "this layout: never report it as that corpus."
)


def write_dramas(config: DramaConfig, seed: int, folder: str) -> dict[str, Any]:
    """Make conversations, write them to a folder, and return its manifest; a folder that holds them already stays as it is.

    Raises RapportError when the folder holds anything else.
    """
    recipe = {"format": FORMAT, "seed": seed, **config.model_dump(mode="json")}
    if storage.is_complete(folder):
        manifest = storage.read_manifest(folder)
        found = manifest.get("recipe", {})
        if found == recipe:
            return manifest
        differing = sorted(k for k in recipe.keys() | found.keys() if recipe.get(k) != found.get(k))
        changes = ", ".join(f"{k} {found.get(k)} there, {recipe.get(k)} now" for k in differing)
        raise RapportError(f"{folder} holds something made otherwise ({changes}): choose another --out, or remove that folder")
    made = make_dramas(config, seed)
    keys = [(key.partition("/"), text) for key, text in made.clues.scenes.items()]
    scenes = [{"dialogue_id": dialogue, "split": split, "text": text, "source": "made"} for (split, _, dialogue), text in keys]
    texts = {**plugins.load(LAYOUTS, config.corpus).files(made), SCENES: to_json_lines(scenes)}
    # A killed run leaves some of these very files; anything else is somebody's own.
    ours = {storage.join(storage.resolve(folder)[1], name) for name in (*texts, PERSONAS, SEEDS, KNOWLEDGE, BOUNDS)}
    there = {storage.resolve(f)[1] for f in storage.list_files(folder)} if storage.exists(folder) else set()
    if strange := sorted(f for f in there - ours if not f.endswith(".tmp")):
        raise RapportError(f"{folder} holds files that this job did not make, such as {strange[0]}: choose another --out")
    for name, content in texts.items():
        storage.write_bytes(storage.join(folder, name), content)
    storage.write_json(storage.join(folder, PERSONAS), {config.corpus: dict(made.clues.personas)})
    write_seeds(storage.join(folder, SEEDS), made.seeds)
    write_knowledge(storage.join(folder, KNOWLEDGE), list(knowledge_of(made, seed)))
    storage.write_json(storage.join(folder, BOUNDS), bounds(config))
    counts = {split: count([c for c in made.conversations if c.split == split], made.labels) for split in ("train", "validation", "test")}
    manifest = {"kind": MADE, "recipe": recipe, "counts": counts, "clues": made.clues.digest, "licence": LICENCE, "bounds": bounds(config)}
    storage.finish(folder, manifest)
    return manifest
