"""``finallayer rules``: every rule in a table."""

from __future__ import annotations

import json

import click


@click.command()
@click.option("--output-format", type=click.Choice(["text", "json"]), default="text", help="A table, or an array.")
def command(output_format: str) -> None:
    """List the rules."""
    from finallayer.rules import all_rules

    rules = list(all_rules().values())
    if output_format == "json":
        rows = [{"rule": r.code, "name": r.name, "severity": str(r.severity), "summary": r.summary} for r in rules]
        click.echo(json.dumps(rows, indent=2))
        return
    names = max((len(r.name) for r in rules), default=0)
    for r in rules:
        click.echo(f"{r.code}  {r.name:{names}}  {r.severity!s:7}  {r.summary}")
    click.echo("\n`finallayer explain RULE` says what a rule does, why, and what to write instead.")
