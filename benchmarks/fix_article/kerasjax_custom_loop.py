import json
import os

import jax
import keras
import numpy as np
from sklearn.datasets import load_digits

keras.utils.set_random_seed(int(os.environ["SEED"]))
x, y = load_digits(return_X_y=True)
x = (x.reshape(-1, 8, 8) * 255 / 16).astype("float32")
x_train, y_train, x_test, y_test = x[:1437], y[:1437], x[1437:], y[1437:]

inputs = keras.Input((8, 8))
hidden = keras.layers.Flatten()(inputs)
hidden = keras.layers.Dense(128, activation="relu")(hidden)
hidden = keras.layers.Dropout(0.2)(hidden)
outputs = keras.layers.Dense(10, activation="softmax")(hidden)
model = keras.Model(inputs, outputs)
loss_object = keras.losses.SparseCategoricalCrossentropy()
optimizer = keras.optimizers.Adam()
optimizer.build(model.trainable_variables)


def compute_loss(trainable, non_trainable, images, labels):
    predictions, non_trainable = model.stateless_call(trainable, non_trainable, images, training=True)
    return loss_object(labels, predictions), non_trainable


@jax.jit
def train_step(state, images, labels):
    trainable, non_trainable, slots = state
    grad_fn = jax.value_and_grad(compute_loss, has_aux=True)
    (loss, non_trainable), grads = grad_fn(trainable, non_trainable, images, labels)
    trainable, slots = optimizer.stateless_apply(slots, grads, trainable)
    return loss, (trainable, non_trainable, slots)


weights = os.environ["WEIGHTS"]
if os.path.exists(weights):
    model.set_weights([w for _, w in sorted(np.load(weights).items())])
else:
    state = (
        [v.value for v in model.trainable_variables],
        [v.value for v in model.non_trainable_variables],
        [v.value for v in optimizer.variables],
    )
    for epoch in range(5):
        order = np.random.permutation(len(x_train))
        for start in range(0, len(order), 32):
            rows = order[start : start + 32]
            loss, state = train_step(state, x_train[rows], y_train[rows])
    for variable, value in zip(model.trainable_variables, state[0]):
        variable.assign(value)
    if weights:
        np.savez(weights, **{f"w{i}": w for i, w in enumerate(model.get_weights())})

probabilities = model.predict(x_test, verbose=0)
np.save(os.environ["OUT"], probabilities)
accuracy = (np.argmax(probabilities, axis=1) == y_test).mean()
print(json.dumps({"accuracy": float(accuracy)}))
