"""Hypothesis draws the same examples in each run, so a failure is one that can be repeated."""

from hypothesis import settings

settings.register_profile("deterministic", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("deterministic")
