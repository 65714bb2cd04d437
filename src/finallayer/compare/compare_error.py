"""The one exception of bad input: its message is the line the user reads."""


class BadInputError(ValueError):
    """What the user asked for cannot be done; the message says what, where, and what was expected."""
