"""``python -m finallayer`` is the ``finallayer`` command: all that is loaded before Ctrl-C is heard."""

import os
import sys


def main() -> None:
    """Run the command. Ctrl-C while it is still being loaded is one line, too."""
    try:
        from finallayer.cli import main as run

        run()
    except KeyboardInterrupt:
        os.write(2, b"finallayer: interrupted\n")
        os._exit(130)


if __name__ == "__main__":
    # `-m` has Python look in the working folder first: a `click.py` or `struct.py` there, which may be anybody's whose
    # code is checked, would run in place of the real one. (Whoever starts it beside this package keeps the way to it.)
    if not sys.flags.safe_path and os.path.dirname(os.path.dirname(os.path.abspath(__file__))) != sys.path[0]:  # noqa: PTH100, PTH120
        del sys.path[0]

    main()
