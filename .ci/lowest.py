"""Prints pyproject.toml's lower bounds as pip constraints: each dependency at the lowest version that we state."""

import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
stated = {*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)}
print(*sorted(one.replace(">=", "==") for one in stated if ">=" in one), sep="\n")
