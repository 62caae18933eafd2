"""Where a prepared corpus came from."""

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.datasets.prepared import PreparedCorpus


def published_root(corpus: PreparedCorpus) -> str:
    """The folder that a corpus was prepared from.

    Raises RapportError when it is not there any more.
    """
    root = str(storage.read_manifest(corpus.path)["config"]["corpus"]["root"])
    if not storage.exists(root):
        raise RapportError(f"{corpus.name} was prepared from {root}, which is not there: name the folder of the published corpus (--root)")
    return root
