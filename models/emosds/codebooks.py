"""The codebook that belongs to a model: kept in its folder, so that the folder alone is enough to hear with. Imports no torch."""

from pathlib import Path

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.models.units.codebook import METADATA, Codebook, load_codebook

CODEBOOK = "codebook"
"""Folder of the codebook inside a model folder."""


def keep_codebook(model: str | Path, codebook: Codebook) -> None:
    """Write the codebook into a model folder (path or URI)."""
    codebook.save(storage.join(model, CODEBOOK))


def holds_codebook(model: str | Path) -> bool:
    """Whether a model folder keeps its codebook."""
    return storage.exists(storage.join(model, CODEBOOK, METADATA))


def find_codebook(root: str | Path, wanted_hash: str | None) -> Codebook | None:
    """The codebook of that hash below a storage root, in `features/units/<name>`; None when there is none."""
    if not root or not wanted_hash:
        return None
    for folder in storage.completed(storage.join(root, "features", "units"), METADATA):
        if storage.read_json(storage.join(folder, METADATA)).get("hash") == wanted_hash:
            return load_codebook(folder)
    return None


def codebook_of(model: str | Path, wanted_hash: str | None, *, named: str | Path = "", root: str | Path = "") -> Codebook:
    """The codebook of a model: the one in the folder `named`, else the one that the model folder keeps, else that of its hash below `root`.

    Raises RapportError when there is none.
    """
    if named:
        return load_codebook(named)
    if holds_codebook(model):
        return load_codebook(storage.join(model, CODEBOOK))
    found = find_codebook(root, wanted_hash)
    if found is None:
        which = f"codebook {wanted_hash[:12]}" if wanted_hash else "codebook"
        raise RapportError(
            f"{model} holds no {CODEBOOK}/, and its {which} is not below {root or 'a storage root'}: name it with --codebook"
        )
    return found
