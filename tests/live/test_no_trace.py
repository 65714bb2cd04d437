"""An audit leaves no trace: all that a run of the loss changes is as it was."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import finallayer


class Program:
    """A model with all that a training step touches."""

    def __init__(self) -> None:
        import torch
        from torch import nn

        torch.manual_seed(0)
        self.model: Any = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.1)
        self.x, self.y = torch.randn(16, 4), torch.arange(16) % 3
        self.step()  # so that there is a state, and a gradient

    def loss(self) -> Any:
        from torch.nn import functional

        return functional.cross_entropy(self.model(self.x), self.y)

    def step(self) -> Any:
        self.model.train()
        self.optimizer.zero_grad()
        loss = self.loss()
        loss.backward()
        self.optimizer.step()
        return loss

    def state(self) -> dict[str, Any]:
        """All that there is, as values that compare."""
        import torch

        tensors = {
            **{f"value {k}": v for k, v in self.model.state_dict(keep_vars=True).items()},
            **{f"gradient {k}": p.grad for k, p in self.model.named_parameters() if p.grad is not None},
            "x": self.x,
        }
        states = self.optimizer.state
        tensors |= {f"state {i} {k}": v for i, s in enumerate(states.values()) for k, v in s.items()}
        return {
            **{k: (id(v), v._version, v.detach().tolist(), v.requires_grad) for k, v in tensors.items()},
            "groups": [{k: v for k, v in g.items() if k != "params"} for g in self.optimizer.param_groups],
            "training": [m.training for m in self.model.modules()],
            "attributes": [sorted(vars(m)) for m in self.model.modules()],
            "torch": torch.get_rng_state().tolist(),
            "python": random.getstate(),
            "numpy": np.random.get_state(legacy=False)["state"]["key"].tolist(),
            "modes": (
                torch.is_autocast_enabled("cpu"),
                torch.is_grad_enabled(),
                torch.get_default_dtype(),
                torch.compiler.is_compiling(),
                torch.are_deterministic_algorithms_enabled(),
                torch.is_deterministic_algorithms_warn_only_enabled(),
                torch.get_float32_matmul_precision(),
                torch.is_anomaly_enabled(),
                torch.backends.cudnn.benchmark,
                torch._tensor_str.PRINT_OPTS.precision,
            ),
            "threads": threading.Thread.__dict__["_bootstrap_inner"],
            "dispatch": torch._C._len_torch_dispatch_stack(),
            "functions": torch._C._len_torch_function_stack(),
            "train": torch.nn.Module.train,
            "hooks": [len(h) for h in hooks()],
        }


def hooks() -> list[Any]:
    from torch.nn.modules import module
    from torch.optim import optimizer

    return [module._global_forward_pre_hooks, module._global_forward_hooks, optimizer._global_optimizer_pre_hooks]


def evaluate(program: Program) -> Any:
    program.model.eval()
    return program.loss()


def draw(program: Program) -> Any:
    random.random()
    np.random.rand(3)
    return program.loss()


def drop_gradients(program: Program) -> Any:
    for parameter in program.model.parameters():
        parameter.grad = None
    return program.loss()


def freeze(program: Program) -> Any:
    next(program.model.children()).requires_grad_(False)
    return program.loss()


def replace_numbers(program: Program) -> Any:
    import torch

    program.model[0].weight.data = torch.zeros(8, 4)
    return program.loss()


def change_numbers(program: Program) -> Any:
    import torch

    with torch.no_grad():
        program.model[0].weight[0] = 3.0
        program.x[:, 0].zero_()
    return program.loss()


def remember(program: Program) -> Any:
    loss = program.loss()
    program.model.last = loss
    program.model[1].register_buffer("more", program.x)
    return loss


def schedule(program: Program) -> Any:
    loss = program.step()
    program.optimizer.param_groups[0]["lr"] = 1.0
    return loss


def work_in_place(program: Program) -> Any:
    from torch import nn
    from torch.nn import functional

    functional.relu(program.x, True)
    nn.Sequential(nn.Dropout(0.5, inplace=True), nn.ReLU(inplace=True))(program.x)
    return program.loss()


def change_modes(program: Program) -> Any:
    import torch

    torch.set_default_dtype(torch.float64)
    loss = program.loss()
    torch.set_autocast_enabled("cpu", True)
    torch.set_grad_enabled(False)
    return loss


def change_settings(program: Program) -> Any:
    import torch

    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.set_float32_matmul_precision("medium")
    torch.autograd.set_detect_anomaly(True)
    torch.backends.cudnn.benchmark = True
    torch.set_printoptions(precision=2)
    return program.loss()


def in_threads(program: Program) -> Any:
    import torch

    def work(part: slice) -> Any:
        with torch.no_grad():
            program.model[0].weight[0] += 1
        return program.model(program.x[part]).sum()

    with ThreadPoolExecutor(2) as pool:
        return sum(pool.map(work, [slice(0, 8), slice(8, 16)]))


CHANGES: list[Callable[[Program], Any]] = [
    Program.loss,
    Program.step,
    evaluate,
    draw,
    drop_gradients,
    freeze,
    replace_numbers,
    change_numbers,
    remember,
    schedule,
    work_in_place,
    change_modes,
    change_settings,
    in_threads,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda f: f.__name__)
def test_everything_is_as_it_was(change: Callable[[Program], Any]) -> None:
    program = Program()
    before = program.state()
    finallayer.audit(change, program)
    after = program.state()
    assert {k for k in before if before[k] != after[k]} == set()


def test_what_a_thread_computes_is_named() -> None:
    assert "thread" in finallayer.audit(in_threads, Program()).blind[0].name


def test_everything_is_as_it_was_after_a_loss_that_raises() -> None:
    program = Program()
    before = program.state()

    def broken() -> None:
        program.step()
        raise ValueError("no loss")

    with pytest.raises(ValueError, match="no loss"):
        finallayer.audit(broken)
    assert program.state() == before


def test_a_change_would_be_seen() -> None:
    program = Program()
    before = program.state()
    program.step()
    after = program.state()
    assert {"value 0.weight", "gradient 0.weight", "torch", "value 1.running_mean"} <= {
        k for k in before if before[k] != after.get(k)
    }


@pytest.mark.parametrize("audited", [Program.loss, Program.step, evaluate])
def test_training_goes_on_as_if_nothing_had_been_audited(audited: Callable[[Program], Any]) -> None:
    assert trained(lambda program: finallayer.audit(audited, program)) == trained(lambda _: None)


def trained(before_each_step: Callable[[Program], Any]) -> list[float]:
    import torch

    program = Program()
    torch.manual_seed(1)
    losses = []
    for _ in range(3):
        before_each_step(program)
        losses.append(program.step().item())
    return losses
