"""The torch losses under every default dtype and device, in every dtype, through everything torch does to a loss."""

from __future__ import annotations

import copy
import io
import itertools
import math
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch")
F = torch.nn.functional

from torch.autograd import forward_ad, gradcheck, gradgradcheck  # noqa: E402

from finallayer.losses import torch as ours  # noqa: E402
from finallayer.losses.torch import _kernel, _quick  # noqa: E402

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
REDUCTIONS = ["mean", "sum", "none"]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """What is computed is the same on any number; many processes that test share the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=["kernel", "framework"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to the same result."""
    if request.param == "framework":
        monkeypatch.setattr(_kernel, "serves", lambda *tensors: False)
        monkeypatch.setattr(_quick, "LIBRARY", None)
    elif _kernel.LIBRARY is None:
        pytest.skip("the kernel is not built")
    return str(request.param)


@pytest.fixture(params=[*DTYPES, "meta", "with meta"], ids=str)
def default(request: pytest.FixtureRequest) -> Iterator[None]:
    """Torch's default dtype, or its default device, set to what it is not usually."""
    if request.param == "with meta":
        with torch.device("meta"):
            yield
    elif request.param == "meta":
        torch.set_default_device("meta")
        yield
        torch.set_default_device(None)
    else:
        torch.set_default_dtype(request.param)
        yield
        torch.set_default_dtype(torch.float32)


def numbers(*shape: int, dtype: Any = torch.float32, seed: int = 0) -> Any:
    """Normal ones on the CPU, whatever the defaults are."""
    generator = torch.Generator(device="cpu").manual_seed(seed)
    return (2 * torch.randn(shape, generator=generator, dtype=torch.float64, device="cpu")).to(dtype)


def labels(rows: Any, classes: int) -> Any:
    generator = torch.Generator(device="cpu").manual_seed(1)
    return torch.randint(classes, rows, generator=generator, device="cpu")


def loss_and_gradients(f: Callable[..., Any], *leaves: Any) -> list[Any]:
    leaves = tuple(leaf.detach().clone().requires_grad_() for leaf in leaves)
    loss = f(*leaves)
    return [loss.detach(), *torch.autograd.grad(loss.sum(), leaves)]


#: (name, our loss or torch's of what is differentiated, what is differentiated)
def everything(rows: int, classes: int, dtype: Any) -> Iterator[tuple[str, Callable[[Any], Any], tuple[Any, ...]]]:
    z, t = numbers(rows, classes, dtype=dtype), labels((rows,), classes)
    soft = torch.softmax(numbers(rows, classes, seed=2).double(), 1).to(dtype)
    weight = numbers(classes, seed=3).abs().to(dtype)
    hidden, layer, bias = (numbers(*s, dtype=dtype) / 2 for s in ((rows, 6), (classes, 6), (classes,)))
    for reduction in REDUCTIONS:
        r = {"reduction": reduction}
        yield f"plain {reduction}", lambda f, r=r: lambda z: f.cross_entropy(z, t, **r), (z,)
        yield f"weighted {reduction}", lambda f, r=r: lambda z: f.cross_entropy(z, t, weight, **r), (z,)
        smooth = r | {"label_smoothing": 0.1}
        yield f"smoothed {reduction}", lambda f, r=smooth: lambda z: f.cross_entropy(z, t, weight, **r), (z,)
        yield f"soft {reduction}", lambda f, r=r: lambda z: f.cross_entropy(z, soft, **r), (z,)
        yield f"learned {reduction}", lambda f, r=r: lambda z, p: f.cross_entropy(z, p, **r), (z, soft)
        yield (
            f"binary {reduction}",
            lambda f, r=r: lambda z: f.binary_cross_entropy_with_logits(z, soft, weight, pos_weight=weight, **r),
            (z,),
        )
        yield (
            f"linear {reduction}",
            lambda f, r=r: lambda h, w, b: f.linear_cross_entropy(h, w, t, linear_bias=b, weight=weight, **r),
            (hidden, layer, bias),
        )


@pytest.mark.parametrize("rows", [7, 7000], ids=["small", "large"])
def test_every_loss_under_every_default(path: str, default: None, rows: int) -> None:
    """Every buffer has a dtype and device of its own: the defaults change nothing, to the bit."""
    del default
    dtype, device = torch.get_default_dtype(), torch.get_default_device()
    for name, make, leaves in everything(rows, 5, torch.float32):
        found = loss_and_gradients(make(ours), *leaves)
        torch.set_default_dtype(torch.float32)
        with torch.device("cpu"):
            usual = loss_and_gradients(make(ours), *leaves)
        torch.set_default_dtype(dtype)
        assert torch.get_default_device() == device
        for a, b in zip(found, usual, strict=True):
            assert a.dtype == b.dtype == torch.float32, name
            assert torch.equal(a, b), name


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_loss_in_every_dtype(path: str, dtype: Any) -> None:
    """As torch's in float64, within what the dtype can hold."""
    tolerance = {torch.float64: (1e-12, 1e-14), torch.float32: (2e-6, 1e-7)}.get(dtype, (0.02, 0.004))
    for name, make, leaves in everything(50, 7, dtype):
        found = loss_and_gradients(make(ours), *leaves)
        wide = loss_and_gradients(make(_InFloat64), *(leaf.double() for leaf in leaves))
        for a, b in zip(found, wide, strict=True):
            assert a.dtype == dtype, name
            scale = max(1.0, float(b.abs().max()))
            if "linear" in name:  # its matrix products round, too
                scale *= 10
            torch.testing.assert_close(a.double(), b, rtol=tolerance[0], atol=tolerance[1] * scale, msg=name)


class _InFloat64:
    """torch's functions with everything cast to float64."""

    def __getattr__(self, name: str) -> Any:
        def cast(x: Any) -> Any:
            return x.double() if isinstance(x, torch.Tensor) and x.is_floating_point() else x

        return lambda *a, **k: getattr(F, name)(*map(cast, a), **{key: cast(v) for key, v in k.items()})


_InFloat64 = _InFloat64()  # type: ignore[assignment]


def test_dtypes_are_promoted_as_torchs() -> None:
    z, t = numbers(4, 3), labels((4,), 3)
    for a, b in itertools.product(DTYPES, DTYPES):
        soft = torch.softmax(z, 1).to(b)
        for f in ("cross_entropy", "binary_cross_entropy_with_logits"):
            leaf = z.to(a, copy=True).requires_grad_()
            got = getattr(ours, f)(leaf, soft)
            assert got.dtype == torch.promote_types(a, b)
            if f == "cross_entropy":  # torch's binary one has the dtype of the target
                assert got.dtype == F.cross_entropy(leaf, soft).dtype
            assert torch.autograd.grad(got, leaf)[0].dtype == a
    for dtype in DTYPES:
        for amp in (torch.bfloat16, torch.float16):
            with torch.autocast("cpu", amp):
                for shape in (4, 12000):
                    large = z.repeat(shape // 4, 1).to(dtype)
                    targets = t.repeat(shape // 4)
                    for reduction in ("mean", "none"):
                        got, expected = (f.cross_entropy(large, targets, reduction=reduction) for f in (ours, F))
                        assert got.dtype == expected.dtype


#: Options, one by one and together.
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "smoothing": {"label_smoothing": 0.1},
    "z_loss": {"z_loss": 0.01},
    "softcap": {"softcap": 3.0},
    "temperature": {"temperature": 0.7},
    "class weights": {"weight": True},
    "token weights": {"token_weight": True},
    "all": {"label_smoothing": 0.1, "z_loss": 0.01, "softcap": 3.0, "temperature": 0.7, "weight": True},
}


#: Those that a mean divides by; what the others do to a row, they do to it whatever becomes of the rows.
REDUCED = ("plain", "class weights", "token weights", "all")


@pytest.mark.parametrize("target", ["indices", "probabilities"])
@pytest.mark.parametrize(
    ("name", "reduction"), [(n, r) for n in OPTIONS for r in (REDUCTIONS if n in REDUCED else ["mean"])]
)
def test_first_and_second_derivatives(path: str, name: str, reduction: str, target: str) -> None:
    z = numbers(3, 4, dtype=torch.float64).requires_grad_()
    t = torch.softmax(numbers(3, 4, dtype=torch.float64, seed=3), 1) if target == "probabilities" else labels((3,), 4)
    if target == "indices":
        t[1] = -100
    given = {"weight": numbers(4, dtype=torch.float64).abs(), "token_weight": numbers(3, dtype=torch.float64).abs()}
    options = {k: given[k] if v is True else v for k, v in OPTIONS[name].items()}

    def f(z: Any) -> Any:
        return ours.cross_entropy(z, t, reduction=reduction, **options)

    def with_lse(z: Any) -> Any:
        return ours.cross_entropy(z, t, reduction=reduction, return_lse=True, **options)[:2]

    every = {"check_forward_ad": True, "check_batched_grad": True}
    assert gradcheck(f, (z,), **every)
    assert gradgradcheck(f, (z,), check_fwd_over_rev=True)
    if reduction == "mean":  # no reduction changes what a lse is
        assert gradcheck(with_lse, (z,), **every)
        assert gradgradcheck(with_lse, (z,))


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_derivatives_of_the_others(path: str, reduction: str) -> None:
    z = numbers(4, 5, dtype=torch.float64).requires_grad_()
    y, p, w = (torch.rand(s, dtype=torch.float64) + 0.1 for s in ((4, 5), (5,), (4, 1)))
    h, layer, bias = (numbers(*s, dtype=torch.float64).requires_grad_() for s in ((4, 3), (5, 3), (5,)))
    t = labels((4,), 5)

    def binary(z: Any) -> Any:
        return ours.binary_cross_entropy_with_logits(z, y, w, reduction=reduction, pos_weight=p)

    def linear(*layer: Any) -> Any:
        h, weight, bias = layer
        return ours.linear_cross_entropy(h, weight, t, bias, reduction=reduction, z_loss=0.01, return_lse=True)[:2]

    assert gradcheck(binary, (z,), check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(binary, (z,), check_fwd_over_rev=True)
    assert gradcheck(linear, (h, layer, bias), check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(linear, (h, layer, bias))


def _loss(f: Any) -> Callable[..., Any]:
    return lambda z, t: f.cross_entropy(z, t)


def test_torch_func() -> None:
    z, t = numbers(6, 4, 5), labels((6, 4), 5)
    func = torch.func
    transforms: list[Callable[[Any], Any]] = [
        lambda f: func.grad(f)(z[0], t[0]),
        lambda f: func.hessian(f)(z[0], t[0]),
        lambda f: func.jacfwd(func.jacfwd(f))(z[0], t[0]),
        lambda f: func.jacrev(func.jacrev(f))(z[0], t[0]),
        lambda f: func.jacrev(func.jacfwd(f))(z[0], t[0]),
        lambda f: func.jvp(lambda z: f(z, t[0]), (z[0],), (z[1],)),
        lambda f: func.vmap(func.grad(f))(z, t),
        lambda f: func.vmap(func.hessian(f))(z, t),
        lambda f: func.vmap(func.vmap(f))(z, t),
        lambda f: func.vmap(lambda z, t: func.jvp(lambda z: f(z, t), (z,), (z,))[1])(z, t),
        lambda f: torch.autograd.functional.hessian(lambda z: f(z, t[0]), z[0]),
        lambda f: torch.autograd.functional.jvp(lambda z: f(z, t[0]), z[0], z[1]),
    ]
    for transform in transforms:
        torch.testing.assert_close(transform(_loss(ours)), transform(_loss(F)), rtol=1e-4, atol=1e-6)
    with pytest.raises(IndexError):
        func.vmap(_loss(ours))(z, t + 5)


def test_dual_tensors() -> None:
    z, t, y = numbers(4, 3), labels((4,), 3), torch.rand(4, 3)
    for f in ("cross_entropy", "binary_cross_entropy_with_logits"):
        with forward_ad.dual_level():
            dual = forward_ad.make_dual(z, z + 1)
            target = t if f == "cross_entropy" else y
            got, expected = (forward_ad.unpack_dual(getattr(m, f)(dual, target)) for m in (ours, F))
        torch.testing.assert_close(got.primal, expected.primal)
        torch.testing.assert_close(got.tangent, expected.tangent)


def test_meta_and_fake_tensors() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    for reduction, dtype in itertools.product(REDUCTIONS, DTYPES):
        with FakeTensorMode() as mode:
            fake = mode.from_tensor(numbers(6, 4, 5, dtype=dtype)), mode.from_tensor(labels((6, 5), 4))
        for z, t in ((numbers(6, 4, 5, dtype=dtype).to("meta"), labels((6, 5), 4).to("meta")), fake):
            leaf = z.clone().requires_grad_()
            for f in (ours, F):
                loss = f.cross_entropy(leaf, t, reduction=reduction)
                assert (loss.shape, loss.dtype, loss.device.type) == (
                    (6, 5) if reduction == "none" else (),
                    dtype,
                    z.device.type,
                )
                (grad,) = torch.autograd.grad(loss.sum(), leaf)
                assert grad.shape == z.shape and grad.dtype == dtype
            out = ours.cross_entropy(leaf, t, return_lse=True, return_accuracy=True)
            assert isinstance(out, ours.CrossEntropyOutput) and out.lse is not None and out.lse.shape == (6, 5)


class _Model(torch.nn.Module):  # type: ignore[name-defined]
    def __init__(self, loss: Any) -> None:
        super().__init__()
        self.layer, self.loss = torch.nn.Linear(7, 5), loss

    def forward(self, x: Any, t: Any) -> Any:
        return self.loss(self.layer(x), t)


@pytest.mark.parametrize(
    "arguments", [{}, {"label_smoothing": 0.1, "reduction": "sum"}, {"reduction": "none"}], ids=str
)
def test_tracers_record_what_serves_other_inputs(arguments: dict[str, Any]) -> None:
    model = _Model(ours.CrossEntropyLoss(**arguments))
    first, other = ((numbers(n, 7), labels((n,), 5)) for n in (6, 9))
    n = torch.export.Dim("n", min=2)
    exported = torch.export.export(model, first, dynamic_shapes={"x": {0: n}, "t": {0: n}})
    buffer = io.BytesIO()
    torch.export.save(exported, buffer)
    buffer.seek(0)
    loaded = torch.export.load(buffer).module()
    recorded = {
        "export": exported.module(),
        "export, saved and loaded": loaded,
        "jit.trace": torch.jit.trace(model, first),
        "fx": torch.fx.symbolic_trace(model),
        "compile": torch.compile(model, fullgraph=True, dynamic=True, backend="aot_eager"),
    }
    for name, program in recorded.items():
        torch.testing.assert_close(program(*other), model(*other), msg=name)
    exact = torch.zeros(2, 5)
    exact[:, 0] = 40.0
    for f in (ours.cross_entropy, torch.compile(ours.cross_entropy, fullgraph=True, backend="aot_eager")):
        assert float(f(exact, torch.tensor([0, 0]))) == pytest.approx(4 * math.exp(-40))


def test_the_modules() -> None:
    z, t = numbers(6, 5), labels((6,), 5)
    module = ours.CrossEntropyLoss(torch.rand(5), z_loss=0.01, softcap=20.0, return_lse=True, return_accuracy=True)
    assert isinstance(module, torch.nn.modules.loss._WeightedLoss)
    for clone in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        for a, b in zip(clone(z, t), module(z, t), strict=True):
            assert torch.equal(a, b)
    out = module(z, t)
    assert out.lse.shape == (6,) and out.accuracy.shape == ()
    for name in (
        "ignore_index=-100",
        "reduction='mean'",
        "label_smoothing=0.0",
        "z_loss=0.01",
        "softcap=20.0",
        "temperature=1.0",
        "return_lse=True",
        "return_accuracy=True",
        "in_place=False",
        "weight of 5 classes",
    ):
        assert name in repr(module)
    theirs = torch.nn.CrossEntropyLoss(torch.rand(5))
    assert theirs.load_state_dict(module.state_dict()) and set(vars(theirs)) <= set(vars(module))


def test_the_linear_module_is_torchs() -> None:
    for outputs, bias in itertools.product(((), (2, 3)), (False, True)):
        theirs = torch.nn.LinearCrossEntropyLoss(4, 5, out_features=outputs, bias=bias, weight=torch.rand(5))
        mine = ours.LinearCrossEntropyLoss(4, 5, out_features=outputs, bias=bias, weight=torch.rand(5))
        mine.load_state_dict(theirs.state_dict())
        x = numbers(6, 4)
        for t in (labels((6, *outputs), 5), torch.softmax(numbers(6, 5, *outputs), 1)):
            a, b = (loss_and_gradients(lambda x, m=m, t=t: m(x, t), x) for m in (mine, theirs))
            for got, expected in zip(a, b, strict=True):
                torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)
    assert "num_classes=5" in repr(mine)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(8, 10), (500, 200)], ids=["small", "large"])
def test_a_scaled_loss_computes_its_gradient_once(shape: tuple[int, int], dtype: Any) -> None:
    """Under gradient accumulation or a GradScaler; and to the bit what it is when computed for that upstream."""
    if _kernel.LIBRARY is None:
        pytest.skip("the kernel is not built")
    z, t = numbers(*shape, dtype=dtype), labels(shape[:1], shape[1])
    calls = []
    library = _kernel.LIBRARY

    class Counting:
        def __getattr__(self, name: str) -> Any:
            found = getattr(library, name)

            def counted(arguments: Any) -> Any:
                calls.append(name)
                return found(arguments)

            return counted if name == "fl_xent" else found

    def gradient(factor: float) -> Any:
        leaf = z.clone().requires_grad_()
        return torch.autograd.grad(ours.cross_entropy(leaf, t) * factor, leaf)[0]

    for factor in (1.0, 0.25, 1024.0, 1 / 3, 65536.0 if dtype != torch.float16 else 8192.0, 1.0):
        first = gradient(factor)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_kernel, "LIBRARY", Counting())
            patch.setattr(_quick, "LIBRARY", Counting())
            calls.clear()
            again = gradient(factor)
        assert calls == ["fl_xent"], "once, forward and backward"
        assert torch.equal(first, again)
        leaf = z.clone().requires_grad_()
        rows = torch.full(shape[:1], factor / shape[0], dtype=torch.float64)
        losses = ours.cross_entropy(leaf.double(), t, reduction="none")
        (exact,) = torch.autograd.grad(losses, leaf, rows)
        unit = torch.finfo(dtype).eps * exact.abs() + torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps
        assert ((again - exact).abs() <= 4 * unit).all()
