"""``finallayer.probe``: what a loss does at its ends, measured."""

from finallayer.probing.card import Probe
from finallayer.probing.prober import probe

__all__ = ["Probe", "probe"]
