"""Two decoder graphs, without and with a past, as the one graph of the public layout: an If on use_cache_branch."""
from __future__ import annotations

import hashlib

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

IR_VERSION = 8


def merge_decoders(first: ModelProto, later: ModelProto, *, heads: int, head_width: int) -> ModelProto:
    """Both branches share their weights. The later branch has no caches of the encoder's states to give: it gives empty ones,
    and a caller keeps those of the first step."""
    weights = SharedWeights()
    ranks = {output.name: len(output.type.tensor_type.shape.dim) for output in first.graph.output}

    def values(prefix: str) -> list[ValueInfoProto]:
        return [helper.make_tensor_value_info(prefix + name, TensorProto.FLOAT, [None] * rank) for name, rank in ranks.items()]

    first_nodes, later_nodes = branch_nodes(first, "first_", weights), branch_nodes(later, "later_", weights)
    given = {output.name for output in later.graph.output}
    empty = numpy_helper.from_array(np.zeros((0, heads, 1, head_width), np.float32))
    later_nodes += [helper.make_node("Constant", [], ["later_" + name], value=empty) for name in ranks if name not in given]
    fork = helper.make_node("If", ["use_cache_branch"], list(ranks), name="use_cache",
                            then_branch=helper.make_graph(later_nodes, "with_past", [], values("later_")),
                            else_branch=helper.make_graph(first_nodes, "without_past", [], values("first_")))
    inputs = {entry.name: entry for entry in (*first.graph.input, *later.graph.input)}
    flag = helper.make_tensor_value_info("use_cache_branch", TensorProto.BOOL, [1])
    graph = helper.make_graph([fork], "decoder_model_merged", [*inputs.values(), flag], values(""), weights.tensors)
    return helper.make_model(graph, opset_imports=list(first.opset_import), ir_version=IR_VERSION)


class SharedWeights:
    """Initializers by content: equal tensors are kept once."""

    def __init__(self) -> None:
        self.tensors: list[TensorProto] = []
        self._names: dict[tuple, str] = {}

    def add(self, tensor: TensorProto) -> str:
        """Keeps a tensor; returns the name it goes by."""
        values = numpy_helper.to_array(tensor)
        key = (values.shape, values.dtype.str, hashlib.sha256(values.tobytes()).digest())
        if key not in self._names:
            self._names[key] = f"w_{len(self.tensors)}"
            kept = TensorProto()
            kept.CopyFrom(tensor)
            kept.name = self._names[key]
            self.tensors.append(kept)
        return self._names[key]


def branch_nodes(model: ModelProto, prefix: str, weights: SharedWeights) -> list[NodeProto]:
    """The nodes of a branch: their values prefixed, their weights shared, the graph's inputs read from outside."""
    names = {tensor.name: weights.add(tensor) for tensor in model.graph.initializer}
    names.update({entry.name: entry.name for entry in model.graph.input})
    names[""] = ""  # an input left out
    outputs = {output.name for output in model.graph.output}
    nodes = []
    for node in model.graph.node:
        if node.op_type == "Identity" and node.input[0] in names and node.output[0] not in outputs:
            names[node.output[0]] = names[node.input[0]]
            continue
        copy = NodeProto()
        copy.CopyFrom(node)
        copy.input[:] = [names.get(name, prefix + name) for name in node.input]
        copy.output[:] = [prefix + name if name else name for name in node.output]
        copy.name = prefix + node.name
        nodes.append(copy)
    return nodes

