"""``finallayer explain``: what a rule does, why, and what to write instead."""

from __future__ import annotations

import sys

import click

from finallayer.cli.terminal import COULD_NOT_RUN, say, show, wants_colour


@click.command()
@click.argument("rule")
def command(rule: str) -> None:
    """Explain RULE, a code such as FL101 or a name such as double-softmax."""
    from finallayer.check.selection import unknown_rule
    from finallayer.report.explanation import explanation, for_terminal
    from finallayer.rules import all_rules

    rules = all_rules()
    wanted = next((r for r in rules.values() if rule.upper() == r.code or rule.lower() == r.name), None)
    if wanted is None:
        say(unknown_rule(rule, rules))
        sys.exit(COULD_NOT_RUN)
    show(for_terminal(explanation(wanted), wants_colour()))
