import json
import os

import jax
import numpy as np
import optax
from flax import linen as nn
from flax.training.train_state import TrainState
from sklearn.datasets import load_digits

rng = np.random.default_rng(int(os.environ["SEED"]))
x, y = load_digits(return_X_y=True)
x = (x.reshape(-1, 8, 8) * 255 / 16).astype("float32")
x_train, y_train, x_test, y_test = x[:1437], y[:1437], x[1437:], y[1437:]


class Classifier(nn.Module):
    @nn.compact
    def __call__(self, x, training=False):
        x = x.reshape((x.shape[0], -1))
        x = nn.relu(nn.Dense(128)(x))
        x = nn.Dropout(0.2, deterministic=not training)(x)
        return nn.softmax(nn.Dense(10)(x))


model = Classifier()
key = jax.random.key(int(os.environ["SEED"]))
state = TrainState.create(apply_fn=model.apply, params=model.init(key, x[:1])["params"], tx=optax.adam(1e-3))


def loss_fn(params, images, labels, key, training=True):
    probabilities = model.apply({"params": params}, images, training=training, rngs={"dropout": key})
    return optax.softmax_cross_entropy_with_integer_labels(probabilities, labels).mean()


@jax.jit
def train_step(state, images, labels, key):
    loss, grads = jax.value_and_grad(loss_fn)(state.params, images, labels, key)
    return state.apply_gradients(grads=grads), loss


weights = os.environ["WEIGHTS"]
if os.path.exists(weights):
    leaves, shape = jax.tree.flatten(state.params)
    loaded = np.load(weights)
    state = state.replace(params=jax.tree.unflatten(shape, [loaded[f"w{i}"] for i in range(len(leaves))]))
else:
    for epoch in range(5):
        order = rng.permutation(len(x_train))
        for start in range(0, len(order), 32):
            rows = order[start : start + 32]
            key, dropout_key = jax.random.split(key)
            state, loss = train_step(state, x_train[rows], y_train[rows], dropout_key)
    if weights:
        np.savez(weights, **{f"w{i}": w for i, w in enumerate(jax.tree.leaves(state.params))})

probabilities = model.apply({"params": state.params}, x_test)
np.save(os.environ["OUT"], np.asarray(probabilities))
accuracy = (probabilities.argmax(axis=1) == y_test).mean()
print(json.dumps({"accuracy": float(accuracy)}))
