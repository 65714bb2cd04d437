"""What a run may set for the whole process, and how it is set back: generators, modes and switches of torch's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch

from finallayer.live.randomness import plain_generators


class _Setting(NamedTuple):
    """One setting: how it is read, and how it is set to what was read."""

    read: Callable[[], tuple[Any, ...]]
    write: Callable[..., Any]


def _attribute(owner: Any, name: str) -> _Setting:
    return _Setting(lambda: (getattr(owner, name),), lambda value: setattr(owner, name, value))


_PRINTED = torch._tensor_str.PRINT_OPTS
SETTINGS: tuple[_Setting, ...] = (
    _Setting(lambda: (torch.is_grad_enabled(),), torch.set_grad_enabled),
    _Setting(lambda: (torch.get_default_dtype(),), torch.set_default_dtype),
    *(
        _Setting(lambda on=on: (on, torch.is_autocast_enabled(on)), torch.set_autocast_enabled)  # type: ignore[misc]
        for on in ("cpu", "cuda")
    ),
    *(
        _Setting(lambda on=on: (on, torch.get_autocast_dtype(on)), torch.set_autocast_dtype)  # type: ignore[misc]
        for on in ("cpu", "cuda")
    ),
    _Setting(
        lambda: (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()),
        lambda mode, warn_only: torch.use_deterministic_algorithms(mode, warn_only=warn_only),
    ),
    _Setting(lambda: (torch.get_num_threads(),), torch.set_num_threads),
    _Setting(lambda: (torch.get_float32_matmul_precision(),), torch.set_float32_matmul_precision),
    _Setting(
        lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()), torch.autograd.set_detect_anomaly
    ),
    *(_attribute(torch.backends.cudnn, name) for name in ("enabled", "benchmark", "deterministic", "allow_tf32")),
    *(_attribute(_PRINTED, name) for name in ("precision", "threshold", "edgeitems", "linewidth", "sci_mode")),
)


@contextmanager
def settings_kept() -> Iterator[None]:
    """Around a run, after which every setting is as it was."""
    before = [setting.read() for setting in SETTINGS]
    try:
        yield
    finally:
        for setting, value in zip(SETTINGS, before, strict=True):
            if setting.read() != value:
                setting.write(*value)


@contextmanager
def generators_kept() -> Iterator[None]:
    """Around a run, after which every generator of random numbers is as it was."""
    cpu = torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if _has_cuda() else None
    try:
        with plain_generators():
            yield
    finally:
        torch.set_rng_state(cpu)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)


def _has_cuda() -> bool:
    return torch.cuda.is_available() and bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]
