"""Texts that are known in part: what they can't be decides a branch."""

from __future__ import annotations

import pytest

from finallayer.kinds import Kind

from .kinds import kinds_at_losses

PROGRAM = """\
import torch
import torch.nn.functional as F
from torch import nn
def build(kind, {parameters}):
    z = nn.Linear(8, 4)(x)
    name = {name}
    if {test}:
        z = torch.softmax(z, 1)
    return F.cross_entropy(z, y)
build(load(), {arguments})
"""
GENERATOR = "'generator_%s' % kind"


@pytest.mark.parametrize(
    ("name", "test", "holds"),
    [
        (GENERATOR, "name == 'discriminator'", False),
        (GENERATOR, "'discriminator' != name", True),
        (GENERATOR, "name == 'generator_up'", None),
        (GENERATOR, "name == 'gen'", False),
        (GENERATOR, "name in ('head', 'tail')", False),
        (GENERATOR, "name not in ('head', 'generator_a')", None),
        (GENERATOR, "name in {'head': 1}", False),
        (GENERATOR, "'rator' in name", True),
        (GENERATOR, "'disc' in name", None),
        (GENERATOR, "name.startswith('gen')", True),
        (GENERATOR, "name.startswith('generator_u')", None),
        (GENERATOR, "name.startswith('disc')", False),
        (GENERATOR, "name.endswith('net')", None),
        (GENERATOR, "name.upper() == 'generator_a'", False),
        (GENERATOR, "name.upper() == 'GENERATOR_A'", None),
        (GENERATOR, "name == other", None),
        ("'%s-%s' % (kind, 50)", "name == 'resnet-50'", None),
        ("'%s-%s' % (kind, 50)", "name == 'resnet-18'", False),
        ("'%s-%d' % ('net', 50)", "name == 'net-50'", True),
        ("'%5d%%_%s' % (50, kind)", "name == '1'", None),
        ("'%5d%%_%s_a' % (50, kind)", "name == '50%_b'", False),
        ("'%(a)s_x' % {'a': kind}", "name.endswith('_y')", False),
        ("f'a_{kind}_b'", "name == 'a_b'", False),
        ("f'a_{kind}_b'", "name == 'a__b'", None),
        ("f'a_{3:02d}'", "name == 'a_3'", None),
        ("f'{f\"a_{kind}\"}_c'", "name.startswith('a_')", True),
        ("'a_{}_{}'.format(kind, 1)", "name == 'a_x_2'", False),
        ("'a_{}_{}'.format(kind, 1)", "name == 'a_x_1'", None),
        ("'{0}_{kind}'.format('b', kind=kind)", "name == 'a'", False),
        ("'{:>5}'.format('b')", "name == 'b'", None),
        ("'{'.format(kind)", "name == 'b'", None),
        ("'head_' + kind", "name == 'tail_x'", False),
        ("kind + '_tail'", "name.endswith('l')", True),
        ("kind + '_tail'", "name == 'x_head'", False),
        ("'a' + f'{kind}z'", "name == f'b{kind}'", False),
        ("'a' + f'{kind}z'", "name == f'{kind}y'", False),
        ("'a' + f'{kind}z'", "name == f'{kind}z'", None),
    ],
)
def test_what_a_text_can_not_be_decides_a_branch(name: str, test: str, holds: bool | None) -> None:
    program = PROGRAM.format(parameters="other", name=name, test=test, arguments="load()")
    expected = {True: Kind.PROBS, False: Kind.LOGITS, None: Kind.UNKNOWN}[holds]
    assert kinds_at_losses(program)[0] is expected


def test_a_table_is_asked_for_what_such_a_key_may_find() -> None:
    program = (
        "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n"
        "heads = {'soft_a': nn.Softmax(1), 'plain_a': nn.Identity(), 'plain_b': nn.Identity()}\n"
        "F.cross_entropy(heads[f'{which}'](nn.Linear(8, 4)(x)), y)\n"
    )
    assert kinds_at_losses(program)[0] is Kind.UNKNOWN
    assert kinds_at_losses(program.replace("f'{", "f'plain_{"))[0] is Kind.LOGITS
    assert kinds_at_losses(program.replace("f'{", "f'soft_{"))[0] is Kind.PROBS
