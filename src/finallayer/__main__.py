"""``python -m finallayer`` is the ``finallayer`` command."""

from finallayer.cli import main

if __name__ == "__main__":
    main()
