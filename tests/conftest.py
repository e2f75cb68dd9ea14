"""Shared by the tests: hypothesis' settings, and the small models of `helpers.models`."""

import pytest
from hypothesis import settings

from tests.helpers.models import SHAPES, random_model
from tinyencodec.codec.model import EncodecModel

# No deadline: the first call of a kernel may compile it.
settings.register_profile("tinyencodec", deadline=None)
settings.load_profile("tinyencodec")

@pytest.fixture(scope="session")
def models() -> dict[str, EncodecModel]:
    """One small model of each shape in SHAPES."""
    return {shape: random_model(shape) for shape in SHAPES}
