"""A softmax layer trained by a loss on probabilities.

## What it does
Finds softmax outputs that reach a cross-entropy on probabilities, such as Keras' `categorical_crossentropy` with its
default `from_logits=False`.

## Why is this bad
The maths is right, and whether it learns is a matter of backend and precision. The loss clips the probabilities to
[1e-7, 1 - 1e-7] before its log: from a margin of 16.1 on (the top logit minus the target's) the loss is stuck at
16.118 and the gradient is exactly 0. The worst-classified samples stop teaching, without NaN and without a warning.
Keras' TensorFlow backend finds the logits behind a softmax in float32 and uses those instead. It can't find them behind
one in 16 bits, as mixed precision makes it unless the layer is told `dtype="float32"`, nor when any layer follows the
softmax, nor do the JAX and torch backends try: the same program, moved there, may learn far slower.

| Keras backend | precision | softmax is the last operation | gradient at a margin of 20 |
|---|---|---|---|
| TensorFlow | float32 | yes | right |
| TensorFlow | float32 | no: a Reshape follows | 0 |
| TensorFlow | mixed_float16, mixed_bfloat16 | yes, and kept in float32 (`Softmax(dtype="float32")`) | right |
| TensorFlow | mixed_float16, mixed_bfloat16 | otherwise | 0 |
| JAX, torch | any | either | 0 |

## Example
```python
model = keras.Sequential([keras.layers.Dense(10, activation="softmax")])
model.compile(loss="sparse_categorical_crossentropy")
```

## Use instead
```python
model = keras.Sequential([keras.layers.Dense(10)])
model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
probabilities = keras.ops.softmax(model.predict(x))
```

## Fix safety
Safe where every reader of the softmax is known. The largest output stays the largest; what reads probabilities,
such as Keras' predict, gets its own softmax. What shows the model on the screen (a print or a summary of it) shows
it as it is then; who counts, indexes or names its layers, or keeps its summary, makes the fix unsafe.

## References
- [Keras probabilistic losses: from_logits](https://keras.io/api/losses/probabilistic_losses/)
- [TensorFlow quickstart: why softmax is not baked into the model's last layer](https://www.tensorflow.org/tutorials/quickstart/beginner)
"""

from __future__ import annotations

from collections.abc import Iterator

from finallayer.expr import Node
from finallayer.findings import Match, Severity, Sighting
from finallayer.kinds import Kind
from finallayer.rules.base import Rule
from finallayer.rules.margin import cost, loss_of
from finallayer.rules.wording import called, made_here, on_logits, rescue

RULE = Rule("FL301", "softmax-head", Severity.ADVICE, "softmax layer with a loss on probabilities")


@RULE.on("xent_probs")
def judge(sighting: Sighting) -> Iterator[Match]:
    match sighting:
        case Sighting(node=Node(args=(Node(kind=Kind.PROBS) as x, *_)) as loss, training=True):
            expression = loss_of(loss)
            harm = cost(expression, rescue(loss))
            message = f"{called(loss)} on softmax outputs: drop the softmax and use {on_logits(loss)}{harm}"
            yield Match(message, expression, made_here(x))


BAD = [
    """
import keras

-model = keras.Sequential([keras.Input((784,)), keras.layers.Dense(10, activation="softmax")])
-model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")  # FL301
+model = keras.Sequential([keras.Input((784,)), keras.layers.Dense(10)])
+model.compile(optimizer="adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
""",
    """
-from tensorflow.keras.layers import Activation, Dense, Flatten, Input
+from tensorflow.keras.layers import Dense, Flatten, Input
from tensorflow.keras.losses import CategoricalCrossentropy
from tensorflow.keras.models import Model

inputs = Input((28, 28))
x = Dense(64, activation="relu")(Flatten()(inputs))
-outputs = Activation("softmax")(Dense(10)(x))
+outputs = Dense(10)(x)
model = Model(inputs, outputs)
-model.compile("adam", CategoricalCrossentropy())  # FL301
+model.compile("adam", CategoricalCrossentropy(from_logits=True))
""",
    """
import tensorflow as tf

-model = tf.keras.Sequential([tf.keras.layers.Dense(10), tf.keras.layers.Softmax()])
-loss_object = tf.keras.losses.SparseCategoricalCrossentropy()
+model = tf.keras.Sequential([tf.keras.layers.Dense(10)])
+loss_object = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)

@tf.function
def train_step(images, labels):
    with tf.GradientTape() as tape:
        loss = loss_object(labels, model(images, training=True))  # FL301
    return tape.gradient(loss, model.trainable_variables)
""",
]

GOOD = [
    # compiled to be measured: no gradient is taken
    """
import keras

def build():
    return keras.Sequential([keras.Input((784,)), keras.layers.Dense(10, activation="softmax")])

def evaluate(x, y, weights):
    model = build()
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    model.load_weights(weights)
    loss, accuracy = model.evaluate(x, y)
    return accuracy
""",
    """
import keras

model = keras.Sequential([keras.Input((784,)), keras.layers.Dense(10)])
model.compile(optimizer="adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
""",
    # for export only
    """
import keras

model = keras.Sequential([keras.Input((784,)), keras.layers.Dense(10)])
model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
keras.Sequential([model, keras.layers.Softmax()]).export("served")
""",
]
