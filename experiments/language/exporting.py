"""Trained transformers as the files of Hugging Face's transformers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gdl_jax.core.json_files import write_json
from gdl_jax.data.tensor_files import FILE, write_tensors
from gdl_jax.data.text.subword import BPETokenizer, WordPieceTokenizer
from gdl_jax.data.text.tokenizers import Tokenizer

CONFIG = "config.json"


def write_network(
    folder: Path, tensors: Mapping[str, np.ndarray], about: Mapping[str, Any], tokenizer: Tokenizer
) -> list[Path]:
    """Writes weights, config.json, and the vocabulary of a tokenizer of parts of words; returns the paths.

    Args:
      folder: exists.
      tensors: {name in Hugging Face's file: array}.
      about: contents of config.json.
      tokenizer: of the run; characters and words have no format there.

    Raises:
      UserError: a file cannot be written.
    """
    write_tensors(folder / FILE, tensors)
    write_json(folder / CONFIG, dict(about))
    vocabulary = tokenizer.files() if isinstance(tokenizer, BPETokenizer | WordPieceTokenizer) else {}
    for name, text in vocabulary.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in (FILE, CONFIG, *vocabulary)]
