// Programs to begin with; the first is the article's.

export const EXAMPLES: { title: string; text: string }[] = [
  {
    title: "Keras: softmax as the last layer",
    text: `import keras

keras.mixed_precision.set_global_policy("mixed_bfloat16")
(x, y), _ = keras.datasets.mnist.load_data()

model = keras.Sequential([
    keras.layers.Flatten(),
    keras.layers.Dense(128, activation="relu"),
    keras.layers.Dropout(0.2),
    keras.layers.Dense(10),
    keras.layers.Softmax(),
])
model.compile(
    optimizer="adam",
    loss=keras.losses.SparseCategoricalCrossentropy(),
    metrics=["accuracy"],
)
model.fit(x, y, epochs=5)
`,
  },
  {
    title: "PyTorch: softmax twice",
    text: `import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(784, 128)
        self.head = nn.Linear(128, 10)

    def forward(self, x):
        return torch.softmax(self.head(self.body(x).relu()), dim=1)


net = Net()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(net.parameters())


def step(x, y):
    optimizer.zero_grad()
    loss = criterion(net(x), y)
    loss.backward()
    optimizer.step()
`,
  },
  {
    title: "PyTorch: an epsilon in the log",
    text: `import torch
import torch.nn.functional as F
from torch import nn

net = nn.Linear(20, 5)


def step(x, y):
    p = F.softmax(net(x), dim=1)
    loss = -torch.log(p + 1e-8)[torch.arange(len(y)), y].mean()
    return loss, p
`,
  },
  {
    title: "JAX: log of softmax",
    text: `import jax
import jax.numpy as jnp


def loss(params, x, y):
    p = jax.nn.softmax(x @ params["w"] + params["b"])
    return -jnp.mean(jnp.sum(y * jnp.log(p), axis=-1))


grads = jax.grad(loss)
`,
  },
  {
    title: "TensorFlow: a clip before the log",
    text: `import tensorflow as tf

net = tf.keras.Sequential([tf.keras.layers.Dense(10)])


def step(x, y):
    with tf.GradientTape() as tape:
        p = tf.nn.softmax(net(x))
        loss = -tf.reduce_mean(tf.reduce_sum(y * tf.math.log(tf.clip_by_value(p, 1e-10, 1.0)), axis=1))
    return tape.gradient(loss, net.trainable_variables)
`,
  },
  {
    title: "Right: softmax in the loss",
    text: `import keras

model = keras.Sequential([
    keras.layers.Dense(128, activation="relu"),
    keras.layers.Dense(10),
])
model.compile(
    optimizer="adam",
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
`,
  },
];
