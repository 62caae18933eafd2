"""Which extraction of each corpus a build is made with: all of one codebook."""

from collections.abc import Mapping
from typing import Any

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.datasets.unit_store import units_by_codebook
from rapport.models.units.codebook import METADATA


def choose_units(root: str, corpora: Mapping[str, str], codebook: str, like: str) -> tuple[str | None, dict[str, str]]:
    """The hash of a codebook, and by corpus its newest units of that codebook; None and nothing where no corpus has units.

    `corpora` gives the folder of each prepared corpus. `codebook` is a name below `<root>/features/units`, a folder, or the beginning of a
    hash. When it is empty, the codebook is meant that is called like the build (`like`), else the only one that all corpora have units of.
    Raises RapportError when none or several remain.
    """
    found = {name: units_by_codebook(root, storage.read_manifest(path)["corpus"]) for name, path in corpora.items()}
    known = {given for folders in found.values() for given in folders}
    if codebook:
        chosen = _named(root, codebook, known)
    elif not known:
        return None, {}
    else:
        called = _hash_of(storage.join(root, "features", "units", like))
        chosen = called if called in known else _shared(root, found, known)
    return chosen, {name: folders[chosen] for name, folders in found.items() if chosen in folders}


def _shared(root: str, found: Mapping[str, Mapping[str, str]], known: set[str]) -> str:
    """The codebook that every corpus with units has units of."""
    shared = [given for given in known if all(given in folders for folders in found.values() if folders)]
    if len(shared) == 1:
        return shared[0]
    told = "; ".join(f"{name}: {', '.join(_told(root, given) for given in sorted(folders))}" for name, folders in found.items() if folders)
    problem = "several codebooks" if shared else "no codebook that all of them share"
    raise RapportError(f"the corpora have units of {problem} ({told}): name the one to build with as --codebook, or extract them alike")


def _named(root: str, codebook: str, known: set[str]) -> str:
    place = codebook if "/" in codebook else storage.join(root, "features", "units", codebook)
    chosen = _hash_of(place)
    if chosen is None:
        begun = [given for given in known if len(codebook) >= 6 and given.startswith(codebook)]
        if len(begun) != 1:
            raise RapportError(
                f"codebook {codebook!r} is none: there is no {METADATA} in {place}, and {len(begun)} of {len(known)} hashes begin like that"
            )
        return begun[0]
    if chosen not in known:
        raise RapportError(f"no corpus has units of codebook {codebook} ({chosen[:12]}): run extract_features with it, or name another")
    return chosen


def _told(root: str, chosen: str) -> str:
    """A codebook by name and hash."""
    home = storage.join(root, "features", "units")
    names = [folder.rsplit("/", 1)[-1] for folder in storage.completed(home, METADATA) if _hash_of(folder) == chosen]
    return f"{names[-1]} ({chosen[:12]})" if names else chosen[:12]


def _hash_of(folder: str) -> str | None:
    path = storage.join(folder, METADATA)
    metadata: dict[str, Any] = storage.read_json(path) if storage.exists(path) else {}
    return metadata.get("hash")
