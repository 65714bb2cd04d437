"""PyTorch: signatures (see the package's docstring for how a line reads)."""

#: dotted name -> signature
NAMES: dict[str, str] = {
    "torch.softmax": "softmax(input: x, dim: axis)",
    "torch.log": "log(input: x)",
    "torch.nn.functional.cross_entropy": "xent_logits(input: x, target)",
    "torch.nn.Linear": "affine(in_features, out_features: units, bias)(input: x)",
    "torch.nn.Softmax": "softmax(dim: axis)(input: x)",
    "torch.nn.CrossEntropyLoss": "xent_logits(weight, size_average, ignore_index)(input: x, target)",
    "torch.nn.Sequential": "sequential(*layers)(input: x)",
    "torch.nn.Module": "module()",
    "torch.nn.DataParallel": "same(module: x)",
    "torch.no_grad": "no_grad()",
}

#: tensor method -> signature; the first parameter is the tensor itself
METHODS: dict[str, str] = {
    "softmax": "softmax(self: x, dim: axis)",
    "log": "log(self: x)",
}
