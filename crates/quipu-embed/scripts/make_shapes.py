"""Writes tests/shapes: small BERT models with random weights, and what `transformers` computes with them.

They cover what the one real model does not: cls pooling, twelve layers, heads of 64 numbers (bge) and of 32 in half
precision (gte), sizes that fit no vector register and the least that there can be, vectors that are not normalised,
prompts (e5), tensors under "bert.", sequences of 512 tokens, and the configuration layout of sentence-transformers 6.

    venv/bin/python scripts/make_shapes.py tests/shapes        # venv as for make_reference.py
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertModel

LETTERS = "abcdefghijklmnopqrstuvwxyz"
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{letter}" for letter in LETTERS), "the", "##ing", ".", ","]
TEXTS = ["", "a", "the sea", "singing, in the rain.", "Quipu ties knots", "the cat sat on the mat. " * 2, "zzz é 7"]
SHAPES = {
    "cls": {"hidden": 32, "heads": 4, "layers": 2, "intermediate": 64, "pooling": "cls", "normalise": True, "new_layout": True},
    "twelve-layers": {"hidden": 16, "heads": 2, "layers": 12, "intermediate": 32, "pooling": "mean", "normalise": True},
    "odd-sizes": {
        "hidden": 20,
        "heads": 5,
        "layers": 2,
        "intermediate": 37,
        "pooling": "mean",
        "normalise": False,
        "prefix": "bert.",
        "prompts": {"query": "query: ", "passage": "passage: "},
    },
    "bge": {
        "hidden": 128,
        "heads": 2,
        "layers": 1,
        "intermediate": 512,
        "pooling": "cls",
        "normalise": True,
        "new_layout": True,
        "format": torch.bfloat16,
        "spread": 0.2,
    },
    "gte": {
        "hidden": 64,
        "heads": 2,
        "layers": 2,
        "intermediate": 256,
        "pooling": "mean",
        "normalise": True,
        "format": torch.float16,
        "spread": 0.3,
    },
    "long": {
        "hidden": 8,
        "heads": 2,
        "layers": 2,
        "intermediate": 16,
        "pooling": "mean",
        "normalise": True,
        "positions": 512,
        "limit": 512,
        # The last is cut to the limit.
        "texts": [*TEXTS, "the sea " * 127 + "in", "the sea " * 127 + "sea", "the sea " * 200],
    },
    "least": {"hidden": 2, "heads": 1, "layers": 1, "intermediate": 1, "pooling": "mean", "normalise": False},
}


def tokenizer_json() -> dict:
    """A WordPiece tokenizer with BERT's rules and a vocabulary of letters; truncation and padding on, as traps."""
    special = [{"id": i, "content": VOCABULARY[i], "special": True, "normalized": False, "single_word": False, "lstrip": False, "rstrip": False} for i in range(5)]
    one = [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}}]
    return {
        "version": "1.0",
        "truncation": {"max_length": 8, "strategy": "LongestFirst", "stride": 0},
        "padding": {"strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"},
        "added_tokens": special,
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": one,
            "pair": one,
            "special_tokens": {token: {"id": token, "ids": [VOCABULARY.index(token)], "tokens": [token]} for token in ("[CLS]", "[SEP]")},
        },
        "decoder": None,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": {token: i for i, token in enumerate(VOCABULARY)}},
    }


def write_json(path: Path, content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def make(folder: Path, shape: dict) -> None:
    torch.manual_seed(len(folder.name))
    config = BertConfig(
        vocab_size=len(VOCABULARY), hidden_size=shape["hidden"], num_hidden_layers=shape["layers"], num_attention_heads=shape["heads"],
        intermediate_size=shape["intermediate"], max_position_embeddings=shape.get("positions", 64), type_vocab_size=2, layer_norm_eps=1e-5,
    )
    stored = shape.get("format", torch.float32)
    model = BertModel(config, add_pooling_layer=False).float().eval()
    for name, parameter in model.named_parameters():
        # Larger than training's start, so that attention and GELU are far from linear; less so where sums are long, or
        # each token would look at one other token alone.
        numbers = torch.randn_like(parameter) * shape.get("spread", 0.4) + (1.0 if name.endswith("LayerNorm.weight") else 0.0)
        # What is computed with here is what a file in this format holds.
        parameter.data = numbers.to(stored).float()
    prefix = shape.get("prefix", "")
    folder.mkdir(parents=True, exist_ok=True)
    save_file({prefix + name: tensor.to(stored).contiguous() for name, tensor in model.state_dict().items()}, folder / "model.safetensors")
    write_json(folder / "config.json", {key: value for key, value in config.to_dict().items() if value is not None} | {"model_type": "bert"})
    write_json(folder / "tokenizer.json", tokenizer_json())
    new_layout, limit = shape.get("new_layout", False), shape.get("limit", 48)
    names = ["Transformer", "Pooling"] + ["Normalize"] * shape["normalise"]
    write_json(folder / "modules.json", [{"idx": i, "name": str(i), "path": f"{i}_{name}" if i else "", "type": f"sentence_transformers.models.{name}"} for i, name in enumerate(names)])
    if new_layout:
        write_json(folder / "1_Pooling/config.json", {"embedding_dimension": shape["hidden"], "pooling_mode": shape["pooling"], "include_prompt": True})
        write_json(folder / "tokenizer_config.json", {"model_max_length": limit})
    else:
        flags = {"cls": "pooling_mode_cls_token", "mean": "pooling_mode_mean_tokens", "max": "pooling_mode_max_tokens"}
        write_json(folder / "1_Pooling/config.json", {"word_embedding_dimension": shape["hidden"]} | {flag: mode == shape["pooling"] for mode, flag in flags.items()})
        write_json(folder / "sentence_bert_config.json", {"max_seq_length": limit, "do_lower_case": False})
    if "prompts" in shape:
        write_json(folder / "config_sentence_transformers.json", {"prompts": shape["prompts"]})
    texts = shape.get("texts", TEXTS) + [prompt + TEXTS[2] for prompt in shape.get("prompts", {}).values()]
    write_json(folder / "expected.json", {"limit": limit, "texts": [expected(model, folder, text, shape) for text in texts]})


def expected(model: BertModel, folder: Path, text: str, shape: dict) -> dict:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(shape.get("limit", 48))
    tokenizer.no_padding()
    ids = tokenizer.encode(text).ids
    with torch.no_grad():
        tokens = model(torch.tensor([ids])).last_hidden_state[0]
    vector = tokens[0] if shape["pooling"] == "cls" else tokens.mean(dim=0)
    if shape["normalise"]:
        vector = vector / vector.norm()
    return {"text": text, "ids": ids, "vector": vector.tolist()}


for name, shape in SHAPES.items():
    make(Path(sys.argv[1]) / name, shape)
