"""BERT as an ONNX graph, straight from its safetensors.

Written out node by node in the shapes that exporters write and optimisers know: each matrix product with its bias
beside it, GELU by its error function, LayerNormalization as one node, attention as reshapes, two products and a
softmax. A torch export ran no faster (docs/embed-benchmarks.md), and torch takes gigabytes to install.
"""

import json
from pathlib import Path

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

OPSET = 17
# IR version of that opset's time, so that every reader knows it.
IR_VERSION = 8


class Graph:
    """Nodes and constants as they come."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: numpy.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(numpy.ascontiguousarray(value), name))
        return name

    def node(self, operator: str, inputs: list[str], output: str, **attributes) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=f"{output}/{operator}", **attributes))
        return output


class Bert:
    """One model's weights and sizes, and how they become nodes."""

    def __init__(self, folder: Path) -> None:
        self.config = json.loads((folder / "config.json").read_text())
        weights = load_file(folder / "model.safetensors")
        prefix = "bert." if "bert.embeddings.word_embeddings.weight" in weights else ""
        self.weights = {name.removeprefix(prefix): value.astype(numpy.float32) for name, value in weights.items()}
        self.graph = Graph()

    def linear(self, rows: str, name: str, output: str) -> str:
        graph, weights = self.graph, self.weights
        product = graph.node("MatMul", [rows, graph.constant(f"{name}.matrix", weights[f"{name}.weight"].T)], f"{output}/product")
        return graph.node("Add", [graph.constant(f"{name}.bias", weights[f"{name}.bias"]), product], output)

    def layer_norm(self, rows: str, name: str, output: str) -> str:
        graph, weights = self.graph, self.weights
        factors = [graph.constant(f"{name}.{kind}", weights[f"{name}.{kind}"]) for kind in ("weight", "bias")]
        return graph.node("LayerNormalization", [rows, *factors], output, axis=-1, epsilon=self.config["layer_norm_eps"])

    def embeddings(self) -> str:
        graph, weights = self.graph, self.weights
        words = graph.constant("words", weights["embeddings.word_embeddings.weight"])
        # All tokens are of type 0: its vector is added to each position's beforehand.
        types = weights["embeddings.token_type_embeddings.weight"][0]
        positions = graph.constant("positions", weights["embeddings.position_embeddings.weight"] + types)
        for value, name in enumerate(("zero", "one", "two")):
            graph.constant(name, numpy.array([value], numpy.int64))
        shape = graph.node("Shape", ["input_ids"], "shape")
        length = graph.node("Slice", [shape, "one", "two"], "length")
        positioned = graph.node("Slice", [positions, "zero", length, "zero"], "positioned")
        gathered = graph.node("Gather", [words, "input_ids"], "gathered")
        return self.layer_norm(graph.node("Add", [gathered, positioned], "embedded"), "embeddings.LayerNorm", "normed")

    def mask(self) -> str:
        graph = self.graph
        wide = graph.node("Unsqueeze", ["attention_mask", "one"], "mask/heads")
        wide = graph.node("Unsqueeze", [wide, "two"], "mask/wide")
        number = graph.node("Cast", [wide], "mask/number", to=TensorProto.FLOAT)
        inverse = graph.node("Sub", [graph.constant("full", numpy.array(1, numpy.float32)), number], "mask/inverse")
        least = graph.constant("least", numpy.array(-10_000, numpy.float32))
        return graph.node("Mul", [inverse, least], "mask")

    def heads(self, rows: str, name: str, output: str, order: list[int]) -> str:
        graph = self.graph
        split = graph.node("Reshape", [self.linear(rows, name, f"{output}/rows"), "head_shape"], f"{output}/split")
        return graph.node("Transpose", [split], output, perm=order)

    def attention(self, rows: str, name: str, mask: str, output: str) -> str:
        graph = self.graph
        query = self.heads(rows, f"{name}.self.query", f"{output}/query", [0, 2, 1, 3])
        key = self.heads(rows, f"{name}.self.key", f"{output}/key", [0, 2, 3, 1])
        value = self.heads(rows, f"{name}.self.value", f"{output}/value", [0, 2, 1, 3])
        scores = graph.node("MatMul", [query, key], f"{output}/scores")
        scaled = graph.node("Div", [scores, "head_root"], f"{output}/scaled")
        masked = graph.node("Add", [scaled, mask], f"{output}/masked")
        shares = graph.node("Softmax", [masked], f"{output}/shares", axis=-1)
        mixed = graph.node("MatMul", [shares, value], f"{output}/mixed")
        order = graph.node("Transpose", [mixed], f"{output}/order", perm=[0, 2, 1, 3])
        joined = graph.node("Reshape", [order, "row_shape"], f"{output}/joined")
        return self.linear(joined, f"{name}.output.dense", output)

    def gelu(self, rows: str, output: str) -> str:
        graph = self.graph
        share = graph.node("Erf", [graph.node("Div", [rows, "root_two"], f"{output}/divided")], f"{output}/erf")
        raised = graph.node("Add", [share, "one_float"], f"{output}/raised")
        return graph.node("Mul", [graph.node("Mul", [rows, raised], f"{output}/twice"), "half"], output)

    def layer(self, rows: str, number: int, mask: str) -> str:
        graph, name = self.graph, f"encoder.layer.{number}"
        attended = self.attention(rows, f"{name}.attention", mask, f"{number}/attention")
        summed = graph.node("Add", [attended, rows], f"{number}/attended")
        middle = self.layer_norm(summed, f"{name}.attention.output.LayerNorm", f"{number}/middle")
        inner = self.gelu(self.linear(middle, f"{name}.intermediate.dense", f"{number}/inner"), f"{number}/gelu")
        outer = self.linear(inner, f"{name}.output.dense", f"{number}/outer")
        summed = graph.node("Add", [outer, middle], f"{number}/summed")
        last = number + 1 == self.config["num_hidden_layers"]
        return self.layer_norm(summed, f"{name}.output.LayerNorm", "last_hidden_state" if last else f"{number}/out")

    def model(self) -> onnx.ModelProto:
        """The whole model: ids and mask of batch × length to hidden states of batch × length × hidden."""
        hidden, heads = self.config["hidden_size"], self.config["num_attention_heads"]
        graph = self.graph
        graph.constant("head_shape", numpy.array([0, 0, heads, hidden // heads], numpy.int64))
        graph.constant("row_shape", numpy.array([0, 0, hidden], numpy.int64))
        numbers = {"head_root": (hidden / heads) ** 0.5, "root_two": 2**0.5, "one_float": 1.0, "half": 0.5}
        for name, value in numbers.items():
            graph.constant(name, numpy.array(value, numpy.float32))
        rows, mask = self.embeddings(), self.mask()
        for number in range(self.config["num_hidden_layers"]):
            rows = self.layer(rows, number, mask)
        shape = ["batch", "length"]
        inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name in ("input_ids", "attention_mask")]
        outputs = [helper.make_tensor_value_info(rows, TensorProto.FLOAT, [*shape, hidden])]
        whole = helper.make_graph(graph.nodes, "bert", inputs, outputs, graph.constants)
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(whole, opset_imports=opsets, ir_version=IR_VERSION, producer_name="pytorch")
        onnx.checker.check_model(model, full_check=True)
        return model
