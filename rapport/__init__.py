"""Rapport: a Ray toolkit for emotionally adaptive spoken dialogue.

The rooms (`ray_jobs`, `models`, `datasets`, `serve_apps`, `tune_spaces`) lie beside this package in a checkout and inside it in a
wheel. Either way they import as `rapport.<room>`. They carry no `__init__.py`: a regular package called `datasets` on `sys.path` would
shadow Hugging Face `datasets`, and Ray puts a job's working directory first.
"""

from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
if (_ROOT / "ray_jobs").is_dir():
    __path__.append(str(_ROOT))

__version__ = "0.1.0"
