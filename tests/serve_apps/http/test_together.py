"""Several streams as one."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from rapport.serve_apps.http.together import merged


class Source:
    """Counts, and remembers whether it is at work."""

    def __init__(self, name: str, items: int, error: Exception | None = None) -> None:
        self.name, self.items, self.error = name, items, error
        self.begun = self.closed = False

    async def stream(self) -> AsyncGenerator[str]:
        self.begun = True
        try:
            for number in range(self.items):
                await asyncio.sleep(0)
                yield f"{self.name}{number}"
            if self.error:
                raise self.error
        finally:
            self.closed = True


def taken(sources: list[Source], at_once: int, most: int = 100) -> list[str]:
    found: list[str] = []

    async def main() -> None:
        async with aclosing(merged([source.stream() for source in sources], at_once)) as items:
            async for item in items:
                found.append(item)
                assert sum(source.begun and not source.closed for source in sources) <= at_once
                if len(found) == most:
                    return

    asyncio.run(main())
    return found


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_every_item_comes_in_the_order_of_its_source(at_once: int) -> None:
    sources = [Source(name, items) for name, items in (("a", 3), ("b", 0), ("c", 2))]
    found = taken(sources, at_once)
    assert [item for item in found if item[0] == "a"] == ["a0", "a1", "a2"]
    assert [item for item in found if item[0] == "c"] == ["c0", "c1"]
    assert len(found) == 5


def test_an_error_of_one_ends_all() -> None:
    sources = [Source("a", 1, KeyError("gone")), Source("b", 10**6)]
    with pytest.raises(KeyError, match="gone"):
        taken(sources, 2, most=10**7)
    assert all(source.closed for source in sources)


def test_who_leaves_closes_every_source() -> None:
    sources = [Source("a", 10**6), Source("b", 10**6)]
    assert len(taken(sources, 2, most=5)) == 5
    assert all(source.closed for source in sources)
