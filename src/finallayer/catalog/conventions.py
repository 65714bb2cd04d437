"""What is concluded from an identifier, where nothing better is known: every such conclusion is a row of this table.

A name proves nothing. Each row says what a name is taken for, which way the guess errs, and, in both directions, names
that put it to the test: those that are meant although they look like others, and look-alikes that are not. They are
the row's tests (``tests/catalog/test_conventions.py``), as names and as programs.

A pattern is matched against the last words of a name (``^``: against all of them), in lower case and with a blank
between them: ``logP_x`` is ``log p x``, ``maxReps`` is ``max reps``. So nothing is concluded from letters in the middle
of a word. The names of operations and classes keep their capitals, which say which of both they are.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import cache, lru_cache
from typing import NamedTuple


class Meaning(Enum):
    """What a name is taken for."""

    EPSILON = "a small number that keeps a log or a division from zero"
    LOG_PROBABILITY = "the log of a probability, never positive"
    HEAD = "the last layer of a pretrained classifier, which users replace"
    OPERATION = "the operation of that name, in a module that is not at hand"
    OBJECT = "a class, in a module that is not at hand: what calling it gives is an object, not None"
    HANDS_ON = "a foreign function that gives back what it is handed, models among it: a tuple of several"
    HANDS_ON_FIRST = "a foreign function that gives back the model that it is handed first"
    TRAINS = "a foreign function or class that trains the model that it is handed by the loss that it is handed"
    SECOND_MODEL = "another model that takes part in the training: who gets which loss is not known"
    PROPERTY = "a decorator that makes a method an attribute, in a module that is not at hand"
    BACKWARD = "a function that works out gradients by hand"
    IN_PLACE = "a method that changes its tensor"
    USE = "what tells a model's training from its use"

    __hash__ = object.__hash__  # asked for with every name


class Errs(Enum):
    """What it costs where a name is not what it is taken for."""

    MISSED = "a finding is missed"
    ALARM = "a finding is false"


class Convention(NamedTuple):
    """One row: names whose words match ``pattern`` are taken for ``meaning``; ``says`` holds what more they tell."""

    meaning: Meaning
    pattern: str
    errs: Errs
    meant: tuple[str, ...]
    look_alikes: tuple[str, ...]
    says: str = ""


def _not_after(words: str) -> str:
    """What a pattern begins with that doesn't fit behind one of some words."""
    return "".join(rf"(?<!\b{word} )" for word in words.split())


_MODELS = "(?:(?: (?:model|module|net|network)s?| (?:ddp|fsdp|distributed))+(?: for (?:kbit )?training)?)?"
#: Which of several numbers of one kind.
_WHICH = r"(?: (?:value|val|tensor|t|const|constant|nr|dr|\d+))*"
#: Words of Python's own, which a name's underscore tells it from: none of them is a method that works in place.
_PYTHONS = "class dict filter format id in input is lambda len list max min next print self sum type vars"

CONVENTIONS: tuple[Convention, ...] = (
    Convention(
        Meaning.EPSILON,
        # no attack's size, no policy's curiosity, no diffusion's noise
        rf"{_not_after('adv attack epoch exploration greedy noise pred')}(?:eps|epsilon){_WHICH}"
        rf"|^(?:(?:log|safe|small|num|numerical|dice|const) )*(?:tiny|smooth|smoothing|delta){_WHICH}",
        Errs.ALARM,
        (
            *("eps", "EPSILON", "safeEps", "log_eps", "smooth_nr", "eps_tensor", "self.eps", "cfg[eps]"),
            *("numerical_eps", "layer_norm_eps", "FLT_EPSILON", "kEpsilon", "eps32", "delta", "tiny", "log_delta"),
        ),
        (
            *("steps", "max_reps", "epsilon_greedy", "eps_decay_steps", "smoothed", "smooth_loss", "deltas", "prior"),
            *("time_delta", "huber_delta", "resnet_tiny", "label_smoothing", "delta_loss", "epsilon_start", "epsilons"),
            *("adv_eps", "attack_epsilon", "exploration_eps", "noise_eps", "pred_eps", "eps_threshold", "eps_iter"),
        ),
    ),
    Convention(
        Meaning.EPSILON, r"(?:fuzz|fudge)(?: factor)?", Errs.ALARM, ("fuzz", "fudge_factor"), ("fuzzy", "fuzz_test")
    ),
    Convention(
        Meaning.LOG_PROBABILITY,
        r"(?:lprobs?|log ?(?:[pq][ijktxyz]{0,2}|pi|prob|probs|probas?|probability|probabilities|pmf|pdf|policy|preds?|"
        r"priors?|posteriors?|alphas?|betas?|likelihoods?|liks?|weights?|w|z|softmax))"
        r"(?: (?!(?:dir|path|file|every|interval|freq|schedule|score|norm)$)\w+)*",
        Errs.MISSED,
        (
            *("log_probs", "logp", "oldLogProb", "log_px_z", "logpt", "log_pi", "log_alpha", "log_likelihood"),
            *("logq[0]", "lprobs", "loglik", "log_lik", "log_w", "logp_a", "action_log_prob", "log_probs_t"),
        ),
        (
            *("log_price", "log_population", "log_path", "blog_posts", "catalog_p", "log_params", "logits"),
            *("logistic", "log_prob_dir", "log_preds_every", "log_policy_path", "log_beta_schedule", "log_z_score"),
            *("log_weight_norm", "catalog_probs", "dialog_p", "log_pixel", "log_power", "log_period", "log_probe"),
        ),
    ),
    Convention(
        Meaning.HEAD,
        r"^(?:fc|classifier|heads?|last linear)",
        Errs.MISSED,
        ("fc", "_fc", "classifier", "head", "last_linear"),
        ("fc1", "header", "head_dropout", "linear", "classifier_free"),
    ),
    *(
        Convention(Meaning.OPERATION, pattern, Errs.ALARM, meant, look_alikes, says)
        for pattern, says, meant, look_alikes in (
            ("^softmax", "softmax(x, axis)", ("nets.softmax",), ("Softmax", "gumbel_softmax", "logsoftmax")),
            ("^log softmax", "log_softmax(x, axis)", ("ops.log_softmax",), ("LogSoftmax", "log_softmax_head")),
            ("^sigmoid", "sigmoid(x)", ("layers.sigmoid",), ("hard_sigmoid", "sigmoids", "Sigmoid")),
            ("^expit", "sigmoid(x)", ("fastmath.expit",), ("expits", "log_expit", "expiterate")),
        )
    ),
    Convention(
        Meaning.OBJECT,
        "^[A-Z][A-Za-z]*(?: (?:[A-Z][A-Za-z]*|\\d+))*",
        Errs.MISSED,
        ("PairwiseHingeLoss", "losses.Dice", "BCE", "Top1Max", "L1"),
        ("make_loss", "getLoss", "Get_loss", "loss", "_Loss_of", "dice_Loss"),
    ),
    Convention(
        Meaning.HANDS_ON,
        rf"^(?:prepare|setup|initialize){_MODELS}",
        Errs.ALARM,
        ("accelerator.prepare", "setup", "deepspeed.initialize", "prepare_model", "prepare_model_for_kbit_training"),
        (
            *("prepare_for_logits", "prepare_inputs", "setup_logging", "initialized", "prepared", "setup_optimizer"),
            *("prepare_for_training", "prepare_head", "initialize_weights", "setup_metrics", "prepare_model_output"),
        ),
    ),
    Convention(
        Meaning.HANDS_ON_FIRST,
        rf"^(?:(?:wrap|parallelize){_MODELS}|(?:model )?to (?:device|gpu)|cuda)",
        Errs.ALARM,
        ("wrap", "wrap_model", "parallelize_module", "utils.to_device", "cuda", "modelToDevice"),
        (
            *("wrap_logits", "wrapped", "wrap_with_temperature", "to_devices", "cudart", "wrap_in_softmax"),
            *("wrap_model_with_softmax", "wrap_head", "to_probs", "wrap_classifier", "cuda_available"),
        ),
    ),
    Convention(
        Meaning.TRAINS,
        rf"^(?:train|fit)(?: (?:(?:the|my|torch|pytorch|simple|basic|model|net|network|nn|cnn|mlp|classifier|loop|"
        r"epochs?|one|ch|and|validate|eval|evaluate|test|fn|func|supervised)|\d+))*"
        rf"|{_not_after('distill distillation attack adversarial gan contrastive')}(?:trainer|learner|fitter)"
        r"|^(?:experiment|supervised runner)|^(?:run|start|do|launch) (?:training|train|fit)",
        Errs.ALARM,
        (
            *("train", "fit", "train_model", "engine.Trainer", "d2l.train_ch3", "MyTrainer", "train_one_epoch"),
            *("Learner", "run_training"),
        ),
        (
            *("trained", "train_test_split", "train_loader", "pretrain", "fit_temperature", "attack", "trainable"),
            *("DistillationTrainer", "train_with_teacher", "strip_softmax", "report", "evaluate", "train_gan"),
            *("fit_transform", "train_probe", "training", "learners", "GANTrainer"),
        ),
    ),
    Convention(
        Meaning.SECOND_MODEL,
        r"(?:teacher|student|ema|discriminator|critic|target (?:net|network|model))(?: (?:model|net|network|\d+))*",
        Errs.MISSED,
        ("teacher", "teacher_model", "model_ema", "self.student", "target_net", "critic_2"),
        ("teacher_forcing", "schema", "target", "cinema", "students", "critical"),
    ),
    Convention(
        Meaning.BACKWARD,
        r"^(?:back ?prop(?:agate|agation)?|backward)(?: (?!compat|hook)\w+)*",
        Errs.MISSED,
        ("backward", "backward_softmax", "backprop", "backpropagation", "back_prop", "backpropagate"),
        ("backwards", "background", "backward_compatible", "backward_hook", "go_backward", "feedback"),
    ),
    Convention(
        Meaning.PROPERTY,
        r"(?!(?:add|check|get|has|is|set|test|with) )\w+ property|(?:lazy|cached)property|^reify",
        Errs.MISSED,
        ("lazy_property", "werkzeug.utils.cached_property", "lazyProperty", "lazyproperty", "reify"),
        (
            *("property_test", "properties", "propertyless", "lazy_properties", "set_property", "has_property"),
            *("check_property", "test_property", "with_property"),
        ),
    ),
    Convention(
        Meaning.IN_PLACE,
        rf"(?!^(?:{_PYTHONS.replace(' ', '|')}) _)[a-z0-9]+ _",
        Errs.MISSED,
        ("clamp_", "clip_", "clamp_min_"),
        ("clamp", "__init__", "_clamp", "__", "fill__", "print_", "filter_", "type_", "input_", "lambda_"),
    ),
    Convention(
        Meaning.USE,
        rf"{_not_after('pre n nb num')}(?:train|test|testing|eval|evaluat(?:e|ion|ing)|infer|inference|training|"
        r"predict(?:ion|ions|ing)?|val|valid|validat(?:e|ion|ing)|deploy|deployment|export|exporting|onnx|serving|"
        r"sample|sampling|generat(?:e|ing))(?: (?:mode|only|phase|flag|time|loop))*",
        Errs.MISSED,
        (
            *("training", "is_train", "isTraining", "self.training", "test_mode", "eval_only", "do_eval", "PREDICT"),
            *("inference", "deploy", "export_onnx", "in_validation", "is_test_time", "args.sample"),
        ),
        (
            *("pretraining", "pre_training", "train_size", "test_loss", "contest", "mode", "trainer", "use_softmax"),
            *("num_val", "evaluator", "retrieval", "exported", "invalidated"),
        ),
    ),
)

_WORD = re.compile(r"_+$|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
#: Of what a class's name differs from a function's, by its capitals alone.
_BY_CAPITALS = (Meaning.OPERATION, Meaning.OBJECT)
#: What a value may be taken for, of which nothing is known but its name.
_OF_VALUES = (Meaning.EPSILON, Meaning.LOG_PROBABILITY)


def _last_words(pattern: str) -> re.Pattern[str]:
    """A pattern of the words that a name ends with, an underscore behind them aside."""
    return re.compile(rf"(?:^|(?<= ))(?:{pattern})(?: _+)?$")


@cache
def _rows(meaning: Meaning) -> tuple[tuple[re.Pattern[str], Convention], ...]:
    """The rows of a meaning with their patterns, compiled when first asked for."""
    return tuple((_last_words(row.pattern), row) for row in CONVENTIONS if row.meaning is meaning)


@cache
def _any_of_values() -> re.Pattern[str]:
    """All rows of what a value may be taken for in one pattern, whose groups bear the meanings' names."""
    patterns = {m: "|".join(row.pattern for row in CONVENTIONS if row.meaning is m) for m in _OF_VALUES}
    return _last_words("|".join(f"(?P<{meaning.name.lower()}>{pattern})" for meaning, pattern in patterns.items()))


def words(name: str) -> str:
    """The words of a name's last part, a blank between them; underscores behind it count as a word."""
    return " ".join(_WORD.findall(name.rpartition(".")[2]))


@lru_cache(maxsize=8192)
def convention(name: str, meaning: Meaning) -> Convention | None:
    """The row by which a name, perhaps dotted, is taken for something; None where it isn't."""
    text = words(name) if meaning in _BY_CAPITALS else words(name).lower()
    return next((row for pattern, row in _rows(meaning) if pattern.search(text)), None)


def suggests(name: str, meaning: Meaning) -> bool:
    """Whether a name is taken for something."""
    return convention(name, meaning) is not None


@lru_cache(maxsize=8192)
def taken_for(name: str) -> str | None:
    """What a value by this name, of which nothing else is known, is taken for: a meaning's name in lower case.

    What stands behind an ``@`` says whose argument it is; a place in a file (``a.py:3:4``) is no name.
    """
    own, argument, _ = name.partition("@")
    if not argument and ":" in own:
        return None
    found = _any_of_values().search(words(own).lower())
    return found.lastgroup if found is not None else None
