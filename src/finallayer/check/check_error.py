"""What stops a check before it runs."""


class CheckError(Exception):
    """The check can't run as asked (a missing path, a bad setting). Its text is one line; the exit code is 2."""
