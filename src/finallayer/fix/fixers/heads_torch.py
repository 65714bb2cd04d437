"""Fixes of heads in PyTorch: ``CrossEntropyLoss`` and ``BCEWithLogitsLoss`` on logits."""

from __future__ import annotations

import ast
from typing import ClassVar

from finallayer.catalog.names import canonical
from finallayer.expr import Node
from finallayer.fix.fixers.dialect import Dialect, Edits
from finallayer.fix.fixers.removal import Removal
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.readers import Reader
from finallayer.fix.text.edits import together
from finallayer.fix.text.spelling import Speller, as_object
from finallayer.source.values import External

#: What takes probabilities or their logs, and what takes logits with the same arguments in the same order.
_WITH_LOGITS = {
    "BCELoss": "BCEWithLogitsLoss",
    "binary_cross_entropy": "binary_cross_entropy_with_logits",
    "NLLLoss": "CrossEntropyLoss",
    "NLLLoss2d": "CrossEntropyLoss",
    "nll_loss": "cross_entropy",
}


class Torch(Dialect):
    frameworks: ClassVar[frozenset[str]] = frozenset({"torch"})

    def on_logits(self, module: AnalysedModule, loss: Node) -> Edits | None:
        call = module.syntax.expression(loss.origin)
        if not isinstance(call, ast.Call):
            return None
        built = module.layers(call.func)
        makers = [module.maker(layer) for layer in built] if built else [call]
        return together(self._renamed(module, maker.func) if maker is not None else None for maker in makers)

    def _renamed(self, module: AnalysedModule, func: ast.expr) -> Edits | None:
        names = {canonical(s.name) if isinstance(s, External) else "" for s in module.values(func)}
        package, _, name = names.pop().rpartition(".") if len(names) == 1 else ("", "", "")
        text = module.syntax.text(func)
        if package not in ("torch.nn", "torch.nn.functional") or name not in _WITH_LOGITS:
            return None
        if isinstance(func, ast.Name):
            spelled = Speller(module.syntax).spell(f"{package}.{_WITH_LOGITS[name]}", func)
            return (module.syntax.replace(func, spelled.text), *spelled.edits) if spelled is not None else None
        if not isinstance(func, ast.Attribute) or func.attr != name:
            return None
        return (module.syntax.replace(func, text[: -len(name)] + _WITH_LOGITS[name]),)

    def restored(self, reader: Reader, _removal: Removal, made: Node) -> Edits | None:
        text = as_object(reader.module.syntax.text(reader.node))
        if made.op == "sigmoid":
            return (reader.module.syntax.replace(reader.node, f"{text}.sigmoid()"),)
        axis = made.attrs.get("axis")
        if not isinstance(axis, int):
            return None
        return (reader.module.syntax.replace(reader.node, f"{text}.{made.op}(dim={axis})"),)
