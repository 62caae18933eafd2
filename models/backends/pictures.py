"""A maker of pictures by name, as settings write it: `procedural`, `flat` or `diffusers:<hub id or folder>`."""

from typing import Any

from rapport.core import plugins
from rapport.simulator.requests import PictureRequest, Service


def load_pictures(name: str, **settings: Any) -> Service[PictureRequest]:
    """The maker of that name. What follows a colon is handed to the back-end's `load`, and so are the settings.

    Raises RapportError for a back-end that does not exist or is not installed.
    """
    backend, _, source = name.partition(":")
    module = plugins.load("models.backends.image", backend)
    pictures: Service[PictureRequest] = module.load(source, **settings) if source else module.load(**settings)
    return pictures
