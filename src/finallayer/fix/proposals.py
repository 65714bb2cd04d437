"""From a finding to the fix that is offered: the first that can be proven, of numbers that are what they seem."""

from __future__ import annotations

import ast
from collections.abc import Callable, Generator, Hashable, Mapping, Sequence

from finallayer.findings import Edit, Fix, Refusal, Sighting
from finallayer.fix.flow.context import Context
from finallayer.fix.flow.disturbances import is_disturbed, strangers
from finallayer.fix.flow.more_than_numbers import is_read_for_more
from finallayer.fix.flow.only_named import known_by_name_only
from finallayer.fix.proof import prove
from finallayer.fix.registry import Proposal, cannot_see, fixers
from finallayer.fix.text.comments import with_comments
from finallayer.fix.text.edits import meet
from finallayer.fix.validation.validate import Verdict, foresee, validate
from finallayer.rules import all_rules
from finallayer.rules.examples import why_never_fixed
from finallayer.rules.judging import Judged, Place, place_of
from finallayer.rules.route import maker
from finallayer.rules.wrong_axis import RULE as AXIS
from finallayer.source.walking import walk

Edits = tuple[Edit, ...]

_SOFTMAXES = frozenset({"softmax", "log_softmax"})
_TURNING = frozenset({"T", "mT", "transpose", "swapaxes", "permute", "t"})
#: Rules of a loss that applies the head again: it becomes another one without.
_ONE_TOO_MANY = frozenset({"FL101", "FL104"})
OTHER_WAY = "on another way through the program, something else stands here"
NO_FIXER = "this rule has no fixes"
NOT_HERE = "none of this rule's fixes fits here"
READ_FOR_MORE = "the program reads more of the probabilities than their numbers: a gradient by them, or a format"
WRONG_AXIS = "the softmax goes along another axis than the classes, which a fix of this would keep"
IN_A_TEXT = "a part of the program stands in a text, which no fix edits"
HALF = "of the same probabilities, the loss in line {} would be left as it is"
DISTURBED = "the numbers may change on their way, in a manner that the analysis doesn't follow"


def propose_all(
    found: Sequence[Judged], context: Context, broken: Callable[[BaseException], Refusal]
) -> list[Fix | Refusal]:
    """What is proposed for each finding: the first proven fix, or why there is none.

    What every finding would have first is looked at together. ``broken``: what to say where something of ours fails.
    """
    pending: dict[Hashable, _Pending] = {}
    for judged in found:
        if (alike := _question(judged)) not in pending:  # a loop comes to one place with one value again and again
            pending[alike] = _Pending(judged, context, broken)
    foresee([p.wanted for p in pending.values() if p.wanted], context)
    answers = {alike: p.answer() for alike, p in pending.items()}
    return [_all_of_head(judged, found, pending, answers) for judged in found]


def _all_of_head(
    judged: Judged,
    found: Sequence[Judged],
    pending: Mapping[Hashable, _Pending],
    answers: Mapping[Hashable, Fix | Refusal],
) -> Fix | Refusal:
    """An answer: a fix that makes a loss another one is unsafe where it leaves the next loss of the same head wrong."""
    question, head = _question(judged), _wrong_head(judged)
    fix = answers[question]
    if head is None or not isinstance(fix, Fix):
        return fix
    others = (j for j in found if _wrong_head(j) == head and isinstance(answers[_question(j)], Refusal))
    left = (place_of(j.finding) for j in others if place_of(j.finding) in pending[question].left)
    line = min((origin.line for _, origin in left), default=None)
    return fix if line is None else Fix(False, fix.edits, "; ".join(filter(None, (fix.note, HALF.format(line)))))


def _wrong_head(judged: Judged) -> Hashable:
    """The head that doesn't belong before the loss which was found, and the rule that says so; None of others."""
    node, code = judged.sighting.node, judged.finding.rule.code
    made = maker(node.args[0]) if code in _ONE_TOO_MANY and node.args else None
    return (code, made.origin) if made is not None and made.origin is not None else None


def _question(judged: Judged) -> Hashable:
    """All that fixers are told: the same for equal values whose parts come from the same places."""
    finding, sighting, match = judged
    return finding.rule.code, sighting, match, tuple(node.origin for node in sighting.node.walk())


class _Pending:
    """One finding whose fix is being worked out: the edits that are to be validated next, none where that is done."""

    def __init__(self, judged: Judged, context: Context, broken: Callable[[BaseException], Refusal]) -> None:
        self._judged, self._context, self._broken = judged, context, broken
        self._proposals = _proposed(judged, context)
        self._answer: Fix | Refusal | None = None
        self.wanted: Edits = ()
        self.left: frozenset[Place] = frozenset()  # what is found after the edits that were validated last
        self._go_on(None)

    def answer(self) -> Fix | Refusal:
        """What it comes to in the end."""
        while self._answer is None:
            self._go_on(self._verdict)
        return self._answer

    def _verdict(self) -> Verdict:
        verdict = validate(self._judged.finding.rule.code, self._judged.sighting, self.wanted, self._context)
        self.left = verdict.left
        return verdict

    def _go_on(self, verdict: Callable[[], Verdict] | None) -> None:
        try:
            self.wanted = next(self._proposals) if verdict is None else self._proposals.send(verdict())
        except StopIteration as end:
            self.wanted, self._answer = (), end.value
        except (Exception, RecursionError) as error:  # ours to mend, and no reason to lose the finding
            self.wanted, self._answer = (), self._broken(error)


def _proposed(judged: Judged, context: Context) -> Generator[Edits, Verdict, Fix | Refusal]:
    """The edits of each proven proposal; wants to hear what their validation says, and ends with one, or why not."""
    finding, sighting, match = judged
    code, refused, unsafe = finding.rule.code, "", None
    known = fixers(code)
    if context.uses().in_a_text:
        return Refusal(IN_A_TEXT)
    for fixer in known:
        for proposal in fixer(sighting, match, context):
            if isinstance(proposal, Refusal):
                refused = refused or proposal.why
                continue
            edits = with_comments(proposal.edits, context.syntax)
            if not edits or meet(edits):
                continue
            proof = prove(proposal.old, proposal.new, proposal.binary, proposal.mends_maths)
            if not proof.holds:
                refused = refused or f"it can't be proven: {proof.why}"
                continue
            if _keeps_wrong_axis(proposal, sighting, context):
                return unsafe or Refusal(WRONG_AXIS)
            if is_disturbed(sighting, context) or _is_turned(sighting, context):
                return Refusal(DISTURBED)
            if is_read_for_more(sighting, context):
                return Refusal(READ_FOR_MORE)
            verdict = yield edits
            fix = _fix(proposal, edits, verdict.note, sighting, context) if not verdict.refused else None
            if fix is not None and fix.safe:
                return fix
            unsafe = unsafe or fix  # the same fixer may know another way, which is safe
            refused = refused or f"the edited program is another: {verdict.refused}"
        if unsafe is not None:
            return unsafe
    return Refusal(refused or (NOT_HERE if known else why_never_fixed(all_rules()[code]) or NO_FIXER))


def _keeps_wrong_axis(proposal: Proposal, sighting: Sighting, context: Context) -> bool:
    """Whether a softmax that goes along the wrong axis stays, or a loss is said to be the same without it."""
    if proposal.old is None and not any(n.op in _SOFTMAXES for n in proposal.new.walk()):
        return False
    wrong = {r.origin for j in context.program().judged if j.finding.rule is AXIS for r in j.match.related}
    return bool(wrong) and any(n.origin in wrong for n in sighting.node.walk() if n.op in _SOFTMAXES)


def _is_turned(sighting: Sighting, context: Context) -> bool:
    """Whether a softmax that is written out gives its classes in another place: ``exp(z).T / exp(z).sum(1)``."""
    for node in sighting.node.walk():
        home = context.module_at(node.origin) if node.op == "softmax" and node is not sighting.node else None
        made = home.syntax.expression(node.origin) if home is not None else None
        turned = walk(made.left) if isinstance(made, ast.BinOp) else ()
        if any(isinstance(n, ast.Attribute) and n.attr in _TURNING for n in turned):
            return True
    return False


def _fix(proposal: Proposal, edits: tuple[Edit, ...], unseen: str, sighting: Sighting, context: Context) -> Fix:
    notes = (
        proposal.note or unseen,
        cannot_see("is done to it", strangers(sighting, context)),
        OTHER_WAY * sighting.supposed,
        known_by_name_only(sighting, context),
    )
    return Fix(not any(notes), edits, "; ".join(filter(None, notes)))
