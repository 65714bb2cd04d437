"""numpy: signatures (see the package's docstring for how a line reads)."""

#: dotted name -> signature
NAMES: dict[str, str] = {}

#: tensor method -> signature; the first parameter is the tensor itself
METHODS: dict[str, str] = {}
