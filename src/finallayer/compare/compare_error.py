"""The one exception of bad input: its arguments are the lines that the user reads, mostly one."""


class BadInputError(ValueError):
    """What the user asked for cannot be done; the first line says what, where, and what was expected."""
