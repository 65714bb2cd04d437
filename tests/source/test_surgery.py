"""What is done to the inside of a model: a new head is understood; after anything else, nobody knows what it gives."""

from __future__ import annotations

import pytest

from finallayer.kinds import Kind

from .kinds import kinds_at_losses
from .test_semantics import KERAS, TORCH

#: A pretrained model, of whose inside only the head is known; a model of known layers; and a module of the project.
MODELS = """\
from torchvision import models
zoo = models.vgg16()
net = nn.Sequential(fc, nn.Softmax(1))


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.act = fc, nn.Softmax(1)

    def forward(self, x):
        return self.act(self.fc(x))


def note(module, given, output):
    print(output)


own = Own()
"""
HEAD = "nn.Sequential(nn.Linear(9, 2), nn.Softmax(1))"
DENSE = "net = keras.Sequential([Dense(9), Dense(4, activation='softmax')])\n"
FUNCTIONAL = "x = keras.Input((9,))\nnet = keras.Model(x, Dense(4, activation='softmax')(x))\n"


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ("pass", Kind.LOGITS),
        (f"zoo.classifier = {HEAD}", Kind.PROBS),
        (f"zoo.classifier[6] = {HEAD}", Kind.PROBS),
        (f"zoo._modules['classifier'] = {HEAD}", Kind.PROBS),
        (f"zoo.add_module('classifier', {HEAD})", Kind.PROBS),
        ("zoo.forward = lambda x: fc(x).softmax(1)", Kind.PROBS),
        ("zoo.classifier._modules['7'] = nn.Softmax(1)", Kind.UNKNOWN),
        ("zoo.classifier.add_module('7', nn.Softmax(1))", Kind.UNKNOWN),
        ("zoo.classifier.append(nn.Softmax(1))", Kind.UNKNOWN),
        ("zoo.classifier[6].out = nn.Softmax(1)", Kind.UNKNOWN),
        ("del zoo.classifier._modules['6']", Kind.UNKNOWN),
        ("zoo.__class__ = Own", Kind.UNKNOWN),
        ("zoo.register_forward_hook(lambda m, i, o: o.softmax(1))", Kind.UNKNOWN),
        ("zoo.classifier.register_forward_hook(lambda m, i, o: o.softmax(1))", Kind.UNKNOWN),
        ("zoo.classifier.register_forward_hook(note)", Kind.LOGITS),
        ("zoo.requires_grad_(False)", Kind.LOGITS),
        ("zoo.features[0].requires_grad = False", Kind.LOGITS),
        ("zoo.classifier[6].weight.data.normal_(0, 1)", Kind.LOGITS),
        ("zoo.classifier[6].weight[0] = 0", Kind.LOGITS),
        ("zoo.features[28].stride = 1", Kind.LOGITS),
        ("zoo.features[28].dilation = (2, 2)", Kind.LOGITS),
        ("zoo.meters['rounds'] = 0.5", Kind.LOGITS),
        ("zoo.classifier[6].normalises = True", Kind.UNKNOWN),
    ],
)
def test_a_pretrained_model(change: str, kind: Kind) -> None:
    assert kinds_at_losses(f"{TORCH}{MODELS}{change}\nF.cross_entropy(zoo(x), y)\n") == [kind]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ("pass", Kind.PROBS),
        ("net[1] = nn.Identity()", Kind.LOGITS),
        ("net._modules['1'] = nn.Identity()", Kind.LOGITS),
        ("net[1].register_forward_hook(lambda m, i, o: i[0])", Kind.UNKNOWN),
    ],
)
def test_a_model_of_known_layers(change: str, kind: Kind) -> None:
    assert kinds_at_losses(f"{TORCH}{MODELS}{change}\nF.cross_entropy(net(x), y)\n") == [kind]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ("pass", Kind.PROBS),
        ("own.act = nn.Identity()", Kind.LOGITS),
        ("own._modules['act'] = nn.Identity()", Kind.LOGITS),
        ("del own._modules['act']", Kind.UNKNOWN),
        ("own.register_forward_hook(lambda m, i, o: i[0])", Kind.UNKNOWN),
        ("own.register_forward_hook(note)", Kind.PROBS),
    ],
)
def test_a_module_of_the_project(change: str, kind: Kind) -> None:
    assert kinds_at_losses(f"{TORCH}{MODELS}{change}\nF.cross_entropy(own(x), y)\n") == [kind]


@pytest.mark.parametrize(
    ("model", "change", "kind"),
    [
        (DENSE, "pass", Kind.PROBS),
        (DENSE, "net.layers[-1].activation = keras.activations.linear", Kind.UNKNOWN),
        (DENSE, "net.layers[-1].trainable = False", Kind.PROBS),
        (FUNCTIONAL, "pass", Kind.PROBS),
        (FUNCTIONAL, "net.layers[-1].activation = keras.activations.linear", Kind.UNKNOWN),
        (FUNCTIONAL, "net.get_layer('out').activation = None", Kind.UNKNOWN),
    ],
)
def test_a_layer_of_a_keras_model_gets_another_activation(model: str, change: str, kind: Kind) -> None:
    program = f"{KERAS}{model}{change}\nnet.compile(loss=keras.losses.CategoricalCrossentropy(from_logits=True))\n"
    assert kinds_at_losses(program) == [kind]
