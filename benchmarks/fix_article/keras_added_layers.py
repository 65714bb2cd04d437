import json
import os

import keras
import numpy as np
from sklearn.datasets import load_digits

keras.utils.set_random_seed(int(os.environ["SEED"]))
x, y = load_digits(return_X_y=True)
x = (x.reshape(-1, 8, 8) * 255 / 16).astype("float32")
x_train, y_train, x_test, y_test = x[:1437], y[:1437], x[1437:], y[1437:]

model = keras.models.Sequential()
model.add(keras.layers.Flatten(input_shape=(8, 8)))
model.add(keras.layers.Dense(128, activation="relu"))
model.add(keras.layers.Dropout(0.2))
model.add(keras.layers.Dense(10))
model.add(keras.layers.Activation("softmax"))
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])

weights = os.environ["WEIGHTS"]
if os.path.exists(weights):
    model(x_train[:1])
    model.set_weights([w for _, w in sorted(np.load(weights).items())])
else:
    model.fit(x_train, y_train, epochs=5, verbose=0)
    if weights:
        np.savez(weights, **{f"w{i}": w for i, w in enumerate(model.get_weights())})
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)

probabilities = model.predict(x_test, verbose=0)
np.save(os.environ["OUT"], probabilities)
print(json.dumps({"accuracy": float(accuracy)}))
