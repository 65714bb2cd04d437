"""Should softmax still be the final layer? Keep softmax in the loss."""

from __future__ import annotations

TYPE_CHECKING = False  # for type checkers, who know the name; typing takes its time to load

if TYPE_CHECKING:
    from finallayer.auditing import Audit, audit
    from finallayer.probing import Probe, probe

__all__ = ["Audit", "Probe", "__version__", "audit", "probe"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """What is only loaded when it is asked for."""
    if name in ("Audit", "audit"):
        from finallayer import auditing

        value: object = getattr(auditing, name)
        return value
    if name in ("Probe", "probe"):
        from finallayer import probing

        value = getattr(probing, name)
        return value
    if name == "watch":
        import finallayer.watch

        return finallayer.watch
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
