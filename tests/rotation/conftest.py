"""What most tests of the rotation start from."""

from collections.abc import Iterator

import pytest

from tests.rotation.world import World


@pytest.fixture
def world() -> Iterator[World]:
    """An embedded cloud with an account to rotate for."""
    world = World()
    yield world
    world.close()
