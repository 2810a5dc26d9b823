"""BERT's pre-training examples of any text; whole documents are held out.

The documents are WikiText-2's articles, or a text's stories, which five newlines or <|endoftext|> separate. Of a text
with fewer than FEWEST stories they are the paragraphs.
"""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gdl_jax.core.errors import ConfigError
from gdl_jax.data.dataset import DataSet, digest_of
from gdl_jax.data.files import printable
from gdl_jax.data.text import bulletins, corpus, tokens
from gdl_jax.data.text.bert_rows import continues_word, features, special_ids
from gdl_jax.data.text.documents import split_documents, split_sentences
from gdl_jax.data.text.masking import MaskingRecipe, make_examples
from gdl_jax.data.text.splits import hold_out
from gdl_jax.data.text.subword import UNKNOWN, WordPieceTokenizer
from gdl_jax.data.text.tokenizers import make_tokenizer

LEAST = 2  # documents of a split: pairs of passages need two
FEWEST = 3 * LEAST
BULLETINS = 3000
TITLE = re.compile(r"^ = (?!= ).* = (?=\n \n)", re.MULTILINE)  # of an article of WikiText
SUBTITLE = re.compile(r"^ (?:= )+(.*?)(?: =)+ $", re.MULTILINE)
JOINT = re.compile(r" @(\S)@ ")  # WikiText's hyphens, and points and commas in numbers
Sentences = list[str]  # of a document


@dataclass(frozen=True, kw_only=True)
class PretrainingData(DataSet):
    """Examples for pre-training; rows are those of `masking.make_examples`, batches those of `bert_rows.features`.

    Attributes:
      tokenizer: of the tokens.
    """

    tokenizer: WordPieceTokenizer


def load(
    name: str,
    *,
    recipe: MaskingRecipe,
    data_dir: str | None = None,
    tokenizer: str | WordPieceTokenizer = "wordpiece:4000",
    by_line: bool = False,
) -> PretrainingData:
    """Returns the examples of the text `name`.

    A random tenth of the documents, at least LEAST, is for validation, and as many for testing. WikiText-2 has its own
    splits; without train.txt, the validation split is part of valid.txt.

    Args:
      name: one of corpus.DATASETS, or "bulletins", short synthetic news.
      recipe: how examples are made, of all splits.
      data_dir: directory of the sets that are not bundled.
      tokenizer: one of tokenizers.TOKENIZERS, of WordPieces, learned from the training split; or a tokenizer. The word
        <unk> of a text is [UNK].
      by_line: each line of the text is a sentence, and blank lines separate documents, as in the files that BERT's own
        program reads; else see `split_sentences`.

    Raises:
      UserError: unknown name or tokenizer; a missing, unreadable, binary or empty file; too few documents.
    """
    documents, note = _read(name, data_dir, by_line)
    if note:
        sys.stderr.write(f"{printable(name)}: {note}\n")
    if isinstance(tokenizer, str):
        tokenizer = make_tokenizer(tokenizer, ["\n".join(document) for document in documents["train"]])
    special, inner = special_ids(tokenizer.special), continues_word(tokenizer.tokens)
    sources = {}
    for number, (split, texts) in enumerate(documents.items()):
        ids = [[_encode(tokenizer, sentence) for sentence in document] for document in texts]
        sources[split] = make_examples(ids, special, inner, recipe, np.random.default_rng(number))
    arrays = [array for source in sources.values() for array in source.arrays.values()]
    digest = digest_of([repr((tokenizer, recipe)).encode(), *arrays])
    return PretrainingData(name, **sources, transform=features, note=note, digest=digest, tokenizer=tokenizer)


def _encode(tokenizer: WordPieceTokenizer, sentence: str) -> np.ndarray:
    """Returns the ids (N,) of a sentence, in which <unk> stands for unknown words."""
    known = [tokenizer.encode(part) for part in sentence.split(tokens.UNKNOWN)]
    unknown = np.array([tokenizer.special[UNKNOWN]], np.int32)
    return np.concatenate([part for one in known for part in (unknown, one)][1:])


def _read(name: str, data_dir: str | None, by_line: bool) -> tuple[dict[str, list[Sentences]], str]:
    """Returns the documents of each split, and a note on them."""
    if name == "wikitext2":
        texts, note = corpus.read_wikitext2(data_dir, 0, 0)
        splits = {split: [article for text in parts for article in _articles(text)] for split, parts in texts.items()}
        if "validation" not in splits:
            held_out = _held_out(name, splits["train"])
            splits |= {"train": held_out["train"] + held_out["test"], "validation": held_out["validation"]}
        return splits, note
    if name == "bulletins":
        passages = bulletins.make(BULLETINS, seed=0)
        return _held_out(name, [split_sentences(tokens.join(passage.words, "word")) for passage in passages]), ""
    return _held_out(name, _documents(corpus.read_documents(name, data_dir), by_line)), ""


def _held_out(name: str, documents: Sequence[Sentences]) -> dict[str, list[Sentences]]:
    if len(documents) < FEWEST:
        raise ConfigError("dataset", name, f"{len(documents)} documents; needs {FEWEST}, with blank lines between them")
    return hold_out(documents, max(LEAST, len(documents) // 10))


def _documents(texts: Sequence[str], by_line: bool) -> list[Sentences]:
    """Returns the different documents of texts."""
    if by_line:
        found = [document for text in texts for document in split_documents(text, by_line=True)]
    else:
        found = [split_sentences(story) for text in texts for story in tokens.split_stories(text)]
        if len(found) < FEWEST:
            found = [document for text in texts for document in split_documents(text)]
    return [list(document) for document in dict.fromkeys(map(tuple, found))]


def _articles(text: str) -> list[Sentences]:
    """Returns the articles of WikiText, whose headings are sentences of their own."""
    starts = [match.start() for match in TITLE.finditer(text)]
    articles = [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]
    return [split_sentences(JOINT.sub(r"\1", SUBTITLE.sub(r"\n\1\n", article))) for article in articles]
