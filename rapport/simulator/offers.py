"""What a counterpart shows: items drawn from a scene, and a picture of each drawn from its pool."""

from collections.abc import Sequence

import numpy as np

from rapport.simulator.config import SimulatorConfig
from rapport.simulator.requests import PictureRequest
from rapport.simulator.scenario import Item, Scenario, Scene


class Offers:
    """The offers of a scenario under one configuration. Equal streams draw equal offers."""

    def __init__(self, scenario: Scenario, config: SimulatorConfig) -> None:
        self._scenario = scenario
        self._config = config
        self._wares: dict[int, tuple[Item, ...]] = {}
        self._pools: dict[int, Sequence[PictureRequest]] = {}

    def draw(self, scene: Scene, draws: np.random.Generator) -> list[Item]:
        """Distinct items in the order in which they were drawn; all of them, in the scene's order, where they are too few to draw from."""
        wares = self._wares.get(scene.id)
        if wares is None:
            wares = self._wares[scene.id] = self._scenario.offered(scene)
        size = self._config.offer_size or scene.offer_size
        left = list(wares)
        if len(left) < size:
            return left
        return [left.pop(int(draws.integers(len(left)))) for _ in range(size)]

    def picture(self, item: Item, draws: np.random.Generator) -> PictureRequest:
        """One of the item's pool, or one that was never drawn before."""
        count = self._config.images_per_item
        if not count:
            return self._request(item, None, int(draws.integers(2**31)))
        pool = self._pools.get(item.id)
        if pool is None:
            pool = self._pools[item.id] = [self._request(item, index, self._config.picture_seed) for index in range(count)]
        return pool[int(draws.integers(count))]

    def _request(self, item: Item, index: int | None, seed: int) -> PictureRequest:
        config = self._config
        return PictureRequest(item.id, item.name, item.prompt, config.mode, index, seed, config.height, config.width)
