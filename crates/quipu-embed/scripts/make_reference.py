"""Writes tests/reference: texts.json and vectors.f32, the oracle of the encoder's tests; and into src/verify the vectors of
its sentences.txt, which `quipu model verify` holds a registered model against, under the model's name.

The vectors come from sentence-transformers on a CPU in f32, one text at a time, so that no padding takes part.

    python3 -m venv venv && venv/bin/pip install sentence-transformers
    venv/bin/python scripts/make_reference.py MODEL_FOLDER tests/reference src/verify

MODEL_FOLDER is what `quipu model path all-MiniLM-L6-v2` prints.
"""

import json
import sys
from pathlib import Path

import numpy
import sentence_transformers
import torch

SENTENCES = [
    "The harbour was quiet before the fishing boats came in.",
    "Granite cools slowly, deep under the ground, so its crystals are large.",
    "A queue without a bound is a memory leak that waits for a busy day.",
    "Bees dance to tell the others where the flowers are.",
    "The committee postponed its decision until the auditors had reported.",
    "Salt lowers the freezing point of water by a few degrees.",
    "She tuned the old piano by ear, one string after another.",
    "Each node keeps a copy of the log and votes on every entry.",
    "Rain fell on the slate roofs of the village all through the night.",
    "The turbine blades bend a little when the wind turns.",
]


def long_text(words: int) -> str:
    """Prose of about `words` words, without repeating one sentence pattern all through."""
    pool = " ".join(SENTENCES).split()
    return " ".join(pool[(index * 7 + index // len(pool)) % len(pool)] for index in range(words))


def texts() -> list[str]:
    """All lengths, scripts and oddities that a tokenizer or a pooling may trip over."""
    short = [
        "",
        " ",
        "a",
        "Hello, world!",
        "quipu",
        "42",
        "3.14159 and 2.71828",
        "!?",
        "[CLS] is a word here, and so is [MASK]",
        "UPPER CASE, lower case, MiXeD cAsE",
        "Où est la bibliothèque? Ça va très bien, merci beaucoup.",
        "Äpfel, Öl und Übermut: die Straße ist naß.",
        "Žluťoučký kůň úpěl ďábelské ódy",
        "e\u0301 combined and \u00e9 composed",
        "東京は日本の首都です。人口は千四百万人。",
        "机器学习是人工智能的一个分支",
        "서울은 대한민국의 수도이다",
        "Москва слезам не верит",
        "مرحبا بالعالم",
        "שלום עולם",
        "emoji 😀🚀 between words 👩‍👩‍👧‍👦 and flags 🇵🇪",
        "tabs\tand\nnew\r\nlines   and   spaces",
        "soft\u00adhyphen, zero\u200bwidth, no\u00a0break",
        "pneumonoultramicroscopicsilicovolcanoconiosis",
        "x" * 150,
        "https://example.org/a/b?c=d&e=f#g",
        "fn main() { let total: u64 = (1..=10).map(|n| n * n).sum(); println!(\"{total}\"); }",
        "SELECT path, count(*) FROM chunks WHERE page > 3 GROUP BY path HAVING count(*) > 1;",
        "for (int i = 0; i < n; ++i) { a[i] += b[i] * c; } // axpy",
        "∑ αᵢ xᵢ ≤ ‖x‖₂ · ‖α‖₂",
    ]
    counted = [long_text(words) for words in (12, 20, 33, 48, 64, 90, 127, 128, 140, 200, 215, 230, 236, 300, 500)]
    return short + SENTENCES + counted


def embed(model: sentence_transformers.SentenceTransformer, texts: list[str]) -> numpy.ndarray:
    return numpy.concatenate([model.encode([text], convert_to_numpy=True) for text in texts])


def main() -> None:
    model_folder, target, verify = (Path(argument) for argument in sys.argv[1:])
    torch.manual_seed(0)
    model = sentence_transformers.SentenceTransformer(str(model_folder), device="cpu").float().eval()
    all_texts = texts()
    vectors = embed(model, all_texts)
    sentences = (verify / "sentences.txt").read_text(encoding="utf-8").splitlines()
    embed(model, sentences).astype("<f4").tofile(verify / f"{model_folder.resolve().name}.f32")
    pieces = [len(model.tokenizer(text, truncation=True, max_length=model.max_seq_length)["input_ids"]) for text in all_texts]
    target.mkdir(parents=True, exist_ok=True)
    made_by = f"sentence-transformers {sentence_transformers.__version__}, torch {torch.__version__}"
    document = {
        "made_by": made_by,
        "dimensions": int(vectors.shape[1]),
        "texts": [{"text": text, "tokens": tokens} for text, tokens in zip(all_texts, pieces)],
    }
    (target / "texts.json").write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    vectors.astype("<f4").tofile(target / "vectors.f32")
    print(made_by, vectors.shape, sorted(pieces))


main()
