"""Writes the ONNX files that the peers run, each only after it gave the reference's vectors.

    python export.py MODEL_FOLDER REFERENCE_FOLDER TARGET_FOLDER

MODEL_FOLDER is a sentence-transformers model of the BERT family, REFERENCE_FOLDER is quipu-embed's tests/reference. The files:

- `f32.onnx`: the plain graph (graph.py), cosine to the reference at least 0.9999 for every text, or there is no file;
- `int8.onnx`: onnxruntime's dynamic quantisation of that, one scale a channel;
- `int8-reduced.onnx`: the same with seven-bit weights, for processors without VNNI, where sums in 16 bits would saturate.

Fusing beforehand (onnxruntime.transformers.optimizer) brought nothing: onnxruntime fuses the same when it loads.

`made.json`, written last, holds the versions and the cosines: who finds it finds all files.
"""

import json
import logging
import sys
from pathlib import Path

import numpy
import onnx
import onnxruntime
from onnxruntime.quantization import QuantType, quantize_dynamic
from tokenizers import Tokenizer

from graph import Bert

# What a graph in f32 must reach for every text; one that does not is wrong, not imprecise.
COSINE_MIN = 0.9999
# Eight bits cost something; below this they were applied wrongly.
COSINE_MIN_INT8 = 0.95
VERSIONED = (numpy, onnx, onnxruntime)


class Reference:
    """Texts, and the vectors that sentence-transformers made of them."""

    def __init__(self, folder: Path, model_folder: Path) -> None:
        document = json.loads((folder / "texts.json").read_text(encoding="utf-8"))
        tokenizer = Tokenizer.from_file(str(model_folder / "tokenizer.json"))
        limit = json.loads((model_folder / "sentence_bert_config.json").read_text())["max_seq_length"]
        tokenizer.no_padding()
        tokenizer.enable_truncation(limit)
        self.sequences = [tokenizer.encode(text["text"]).ids for text in document["texts"]]
        for text, sequence in zip(document["texts"], self.sequences, strict=True):
            assert text["tokens"] == len(sequence), text
        self.vectors = numpy.fromfile(folder / "vectors.f32", "<f4").reshape(-1, document["dimensions"])

    def cosines(self, model: Path) -> numpy.ndarray:
        """How near the model's vectors are, text by text."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        vectors = []
        for sequence in self.sequences:
            ids = numpy.array([sequence], numpy.int64)
            hidden = session.run(["last_hidden_state"], {"input_ids": ids, "attention_mask": numpy.ones_like(ids)})[0]
            mean = hidden[0].mean(axis=0)
            vectors.append(mean / numpy.linalg.norm(mean))
        return (numpy.array(vectors) * self.vectors).sum(axis=1) / numpy.linalg.norm(self.vectors, axis=1)


def quantise(source: Path, target: Path, reduced: bool) -> None:
    quantize_dynamic(source, target, per_channel=True, reduce_range=reduced, weight_type=QuantType.QInt8)


def check(reference: Reference, half_done: Path, least: float) -> dict:
    """Moves a file to its name if its vectors are right."""
    cosines = reference.cosines(half_done)
    found = {"mean": float(cosines.mean()), "min": float(cosines.min())}
    name = half_done.name.removesuffix(".half-done")
    print(f"{name}: cosine {found['mean']:.6f} (min {found['min']:.6f})")
    if not found["min"] >= least:
        raise SystemExit(f"{name} is wrong: its least cosine to the reference is {found['min']}, not {least}")
    half_done.rename(half_done.with_name(name))
    return found


def main() -> None:
    # It asks for a step beforehand that changed nothing here.
    logging.getLogger().setLevel(logging.ERROR)
    model_folder, reference_folder, target = map(Path, sys.argv[1:])
    target.mkdir(parents=True, exist_ok=True)
    reference = Reference(reference_folder, model_folder)
    made = {}

    def make(name: str, least: float, write) -> Path:
        half_done = target / f"{name}.half-done"
        write(half_done)
        made[name] = check(reference, half_done, least)
        return target / name

    plain = make("f32.onnx", COSINE_MIN, lambda path: onnx.save(Bert(model_folder).model(), path))
    for name, reduced in (("int8.onnx", False), ("int8-reduced.onnx", True)):
        # Without VNNI the whole range saturates: that file is not for such a machine, and may be anything there.
        make(name, COSINE_MIN_INT8 if reduced else 0.0, lambda path: quantise(plain, path, reduced))
    document = {"versions": {module.__name__: module.__version__ for module in VERSIONED}, "cosines": made}
    (target / "made.json").write_text(json.dumps(document, indent=1) + "\n")


main()
