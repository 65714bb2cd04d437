"""``finallayer head``: what a saved model's final layer gives; the head taken out, or put in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from finallayer.cli.terminal import COULD_NOT_RUN, run_interruptibly, say, show
from finallayer.report.places import plain, plain_json, plain_start, shown_path

if TYPE_CHECKING:
    from finallayer.cli.signals import Interruptions
    from finallayer.models.model import Model, Output
    from finallayer.models.proving import Proof


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    file: Path
    output: str | None
    strip: bool
    append: str | None
    out: Path | None
    in_place: bool
    output_format: str

    def check(self) -> None:
        """Raises UsageError for what can't be meant."""
        changes = self.strip or self.append is not None
        if self.strip and self.append:
            raise click.UsageError("--strip and --append: one of them.")
        if changes and (self.out is None) is (not self.in_place):
            raise click.UsageError("Name where to write it: -o OUT, or --in-place.")
        if not changes and (self.out is not None or self.in_place):
            raise click.UsageError("-o and --in-place go with --strip or --append.")


@click.command(
    epilog="Exit code: 0 done, 2 the file can't be read, or not be changed as asked; the reason is on standard error."
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--output", metavar="NAME", help="Of this output, where there are several.")
@click.option("--strip", is_flag=True, help="Have the output give logits.")
@click.option("--append", type=click.Choice(["softmax", "sigmoid"]), help="Have it give the softmax, or sigmoid.")
@click.option("-o", "out", type=click.Path(path_type=Path), metavar="OUT", help="Where the changed model goes.")
@click.option("--in-place", is_flag=True, help="Change FILE itself, whole or not at all.")
@click.option("--output-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(**options: Any) -> None:
    """Tell what each output of a saved model gives: logits or probabilities, made by which layers, for which loss.

    FILE is a .keras file or an ONNX file. It is read as data: nothing in it is executed, imported or unpickled. With
    --strip or --append the changed model is compared with the old one before it is put in its place; where
    onnxruntime or Keras is installed, both are run, in another process, if all in the file is that framework's own.
    """
    wanted = Options(**options)
    wanted.check()
    run_interruptibly(partial(_head, wanted))


def _head(options: Options, _signals: Interruptions) -> int:
    from finallayer import models
    from finallayer.models.refusals import NotDone, NotRead

    name = shown_path(str(options.file))
    try:
        model, proof = models.read(options.file), None
        if options.strip or options.append:
            model, proof = _changed(options, model)
        elif options.output is not None:
            model.output(options.output)
    except NotRead as why:
        say(f"{name}: can't be read: {why}")
        return COULD_NOT_RUN
    except NotDone as why:
        say(f"{name}: {why}")
        return COULD_NOT_RUN
    chosen = [o for o in model.outputs if options.output in (None, o.name)]
    show(_json(model, chosen, proof) if options.output_format == "json" else _text(model, chosen, proof))
    return 0


def _changed(options: Options, model: Model) -> tuple[Model, Proof]:
    """The model as it is written, and how it was shown to be right."""
    from dataclasses import replace

    from finallayer import models
    from finallayer.models.proving import prove
    from finallayer.models.refusals import NotDone
    from finallayer.models.saving import save

    target = options.file if options.in_place else options.out or options.file
    if not options.in_place and target.exists() and target.samefile(options.file):
        raise NotDone(f"{target} is the file itself: --in-place changes it")
    if model.bound and target.resolve().parent != options.file.resolve().parent:
        raise NotDone(f"{model.bound}: write {target.name} into the same folder")
    name = model.output(options.output).name
    edited = model.strip(name) if options.strip else model.append(str(options.append), name)
    done: list[tuple[Model, Proof]] = []

    def check(written: str) -> None:
        new = models.read(written)
        done.append((new, prove(model, new, edited, name)))

    save(edited, target, check)
    new, proof = done[0]
    return replace(new, path=str(target)), proof


def _json(model: Model, outputs: list[Output], proof: Proof | None) -> Iterator[str]:
    told = {
        "path": shown_path(model.path),
        "format": model.format,
        "outputs": [o.fields() for o in outputs],
        "proof": None if proof is None else proof._asdict(),
    }
    yield plain_json(json.dumps(told, ensure_ascii=False))


def _text(model: Model, outputs: list[Output], proof: Proof | None) -> Iterator[str]:
    yield plain_start(f"{shown_path(model.path)}: {model.format}")
    for output in outputs:
        shape = "?" if output.shape is None else ", ".join("?" if n is None else str(n) for n in output.shape)
        by = f" by {', '.join(output.made_by)}" if output.made_by else ""
        yield plain(f"  {output.name} ({shape}) {output.dtype or ''}: {output.kind}{by}")
        if output.loss is not None:
            agrees = {True: "takes that", False: "DOES NOT take that", None: "may take that, or anything"}
            yield plain(f"    compiled loss {output.loss}: {agrees[output.agrees]}")
        if output.metrics:
            yield plain(f"    metrics {', '.join(output.metrics)}")
        yield from (plain(f"    {note}") for note in output.notes)
    if proof is not None:
        yield plain(f"  proven {proof.how}")
