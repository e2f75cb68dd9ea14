"""Hypothesis: no deadline, since the first call of a kernel may compile it."""

from hypothesis import settings

settings.register_profile("tinyencodec", deadline=None)
settings.load_profile("tinyencodec")
