"""Whether a prediction that is reshaped before its loss still has its classes in a row."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence

from finallayer.expr import Node
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.known_calls import known_call
from finallayer.rules.route import units

_VIEWS = frozenset({"view", "reshape"})
#: What moves axes, or makes none longer.
_AXES_ONLY = frozenset({"permute", "transpose", "swapaxes", "contiguous", "t"})


def keeps_classes(steps: Sequence[Node], head: Node, modules: Mapping[str, AnalysedModule]) -> bool:
    """Whether each step from a softmax, on to a loss, leaves its classes together: along the last axis, or others."""
    if head.op == "sigmoid":
        return True
    others = [step for step in steps if not _is_below_each_other(step, modules)]
    return not others or (head.attrs.get("axis") == -1 and all(_keeps(step, head, modules) for step in others))


def _is_below_each_other(step: Node, modules: Mapping[str, AnalysedModule]) -> bool:
    """``torch.cat(batches)``: predictions for more examples."""
    module = modules.get(step.origin.path) if step.origin is not None else None
    known = known_call(module, module.syntax.expression(step.origin), "concat") if module is not None else None
    axis = known.argument("axis") if known is not None else None
    is_first = axis is None or (isinstance(axis, ast.Constant) and axis.value == 0)
    return known is not None and known.last_name in _BELOW and is_first


#: What puts arrays below each other, where it isn't told otherwise.
_BELOW = frozenset({"cat", "concat", "concatenate", "vstack"})


def _keeps(step: Node, head: Node, modules: Mapping[str, AnalysedModule]) -> bool:
    module = modules.get(step.origin.path) if step.origin is not None else None
    call = module.syntax.expression(step.origin) if module is not None else None
    if module is None or not isinstance(call, ast.Call) or call.keywords:
        return False
    known = known_call(module, call)
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if known is None or known.calls != "method" or step.op not in ("reshape", "identity"):
        return False
    if name in _AXES_ONLY:
        return True
    shape = call.args[0].elts if len(call.args) == 1 and isinstance(call.args[0], (ast.Tuple, ast.List)) else call.args
    return name in _VIEWS and len(shape) > 1 and _is_number_of_classes(module, shape[-1], head)


def _is_number_of_classes(module: AnalysedModule, length: ast.expr, head: Node) -> bool:
    """``3`` for a layer of three units; ``out.size(-1)`` and ``out.shape[-1]`` of the output itself."""
    values = module.values(length)
    if values and all(isinstance(v, int) and v == units(head) for v in values):
        return True
    match length:
        case ast.Call(func=ast.Attribute(attr="size", value=tensor), args=[last]):
            pass
        case ast.Subscript(value=ast.Attribute(attr="shape", value=tensor), slice=last):
            pass
        case _:
            return False
    is_last = ast.unparse(last) == "-1"
    return is_last and all(v == head for v in module.values(tensor)) and bool(module.values(tensor))
