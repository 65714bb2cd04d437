"""The fixers: a file a family, found by walking this package; each is a function registered by ``mends``."""
