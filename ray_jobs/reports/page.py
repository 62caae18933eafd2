"""Self-contained pages: Jinja templates with their style inside, so that a report is one file that opens anywhere, offline."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from rapport.core.conversations import canonical_emotion
from rapport.core.emotions import EMOTION_COLOURS

_TEMPLATES = Path(__file__).parent / "templates"
NOTHING = "–"


def render(template: str, **values: Any) -> str:
    """The text of a template in `templates/`; values are escaped in HTML, and a name that the template needs and lacks raises."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=jinja2.select_autoescape(enabled_extensions=("html",)),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(percent=percent, interval=interval, colour=colour)
    return environment.get_template(template).render(**values)


def percent(share: float | None, digits: int = 1) -> str:
    """`66.9 %`, or a dash for an undefined share."""
    return NOTHING if share is None else f"{100 * share:.{digits}f} %"


def interval(bounds: Sequence[float] | None, digits: int = 1) -> str:
    """`62.0 – 71.3 %`, or a dash."""
    return NOTHING if bounds is None else f"{100 * bounds[0]:.{digits}f} – {100 * bounds[1]:.{digits}f} %"


def colour(emotion: str) -> str:
    """The colour that stands for the emotion, or what a label of conversations means, in every picture; grey outside the vocabulary."""
    return EMOTION_COLOURS.get(canonical_emotion(emotion) or "", "#888888")


def data_uri(data: bytes, kind: str = "image/png") -> str:
    """The bytes as a URI that a page can hold."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
