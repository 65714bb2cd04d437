"""The article's experiment: the same classifier with softmax in the model and with softmax in the loss, side by side.

The parent process (``run``) plans a grid of cells, starts one child a backend (``worker``), and turns what the children
measured into a table, a verdict and a report. Only the training side (``train_keras``, ``train_torch``) meets a framework.
"""
