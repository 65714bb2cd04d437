"""The article's experiment: the same classifier with softmax in the model and with softmax in the loss, side by side.

The parent process (``session``, ``experiment``) plans a grid of cells, starts one child a backend (``children``,
``worker``), and turns what they measured into a table, a verdict and a report. Only the training side (``train_keras``,
``train_torch``) meets a framework.
"""
