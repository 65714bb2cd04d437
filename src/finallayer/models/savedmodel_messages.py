"""The messages of a SavedModel, as far as they are read: described here, parsed by protobuf.

TensorFlow's own classes come with TensorFlow alone. Fields that aren't named are passed over.
Source: tensorflow/core/protobuf/saved_model.proto, meta_graph.proto, and tensorflow/core/framework/*.proto.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from finallayer.models.needed import needed

_PACKAGE = "finallayer.savedmodel"
#: message -> its fields, each with number and type; ``*`` behind a type: any number of them
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "SavedModel": {"schema_version": (1, "int64"), "meta_graphs": (2, "MetaGraph*")},
    "MetaGraph": {"info": (1, "Info"), "graph": (2, "Graph"), "signatures": (5, "NamedSignature*")},
    "Info": {"tags": (4, "string*"), "version": (5, "string")},
    "Graph": {"node": (1, "Node*"), "library": (2, "Library")},
    "Library": {"function": (1, "Function*")},
    "Function": {"signature": (1, "Operation"), "node": (3, "Node*"), "ret": (4, "Returned*")},
    "Operation": {"name": (1, "string"), "inputs": (2, "Argument*"), "outputs": (3, "Argument*")},
    "Argument": {"name": (1, "string"), "type": (3, "int32")},
    "Returned": {"key": (1, "string"), "value": (2, "string")},
    "Node": {"name": (1, "string"), "op": (2, "string"), "input": (3, "string*"), "attr": (5, "NamedAttribute*")},
    "NamedAttribute": {"key": (1, "string"), "value": (2, "Attribute")},
    "Attribute": {
        "list": (1, "List"),
        "s": (2, "bytes"),
        "i": (3, "int64"),
        "f": (4, "float"),
        "b": (5, "bool"),
        "type": (6, "int32"),
        "shape": (7, "Shape"),
        "tensor": (8, "Tensor"),
        "func": (10, "NamedFunction"),
    },
    "List": {"i": (3, "int64*"), "f": (4, "float*"), "shape": (7, "Shape*")},
    "NamedFunction": {"name": (1, "string")},
    "Shape": {"dim": (2, "Size*"), "unknown_rank": (3, "bool")},
    "Size": {"size": (1, "int64")},
    "Tensor": {
        "dtype": (1, "int32"),
        "shape": (2, "Shape"),
        "content": (4, "bytes"),
        "float_val": (5, "float*"),
        "double_val": (6, "double*"),
        "int_val": (7, "int32*"),
        "int64_val": (10, "int64*"),
        "bool_val": (11, "bool*"),
    },
    "NamedSignature": {"key": (1, "string"), "value": (2, "Signature")},
    "Signature": {"inputs": (1, "NamedInfo*"), "outputs": (2, "NamedInfo*"), "method": (3, "string")},
    "NamedInfo": {"key": (1, "string"), "value": (2, "TensorInfo")},
    "TensorInfo": {"name": (1, "string"), "dtype": (2, "int32"), "shape": (3, "Shape")},
}


@cache
def saved_model() -> Any:
    """The class of the whole message. Raises NotRead where protobuf isn't installed."""
    needed("google.protobuf", "a SavedModel")
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="finallayer/savedmodel.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for called, (number, kind) in fields.items():
            plain = kind.removesuffix("*")
            made = message.field.add(name=called, number=number)
            made.label = field.LABEL_REPEATED if kind.endswith("*") else field.LABEL_OPTIONAL
            if plain in _MESSAGES:
                made.type, made.type_name = field.TYPE_MESSAGE, f".{_PACKAGE}.{plain}"
            else:
                made.type = getattr(field, f"TYPE_{plain.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.SavedModel"))
