"""Plain texts as documents of sentences, cut by punctuation marks and blank lines."""

import re

BLANK_LINES = re.compile(r"\n(?:[^\S\n]*\n)+")
# Marks that end a sentence, with closing quotation marks and brackets; Chinese and Japanese have no spaces after them.
END = re.compile(r"""[.!?…]+["'”’»)\]}_*]*(?=\s)|[。！？]+["'”’»」』）]*""")
ABBREVIATIONS = frozenset(  # in lower case, without the full stop
    (
        *("mr", "mrs", "ms", "messrs", "dr", "st", "prof", "rev", "hon", "jr", "sr", "mm", "mme", "mlle"),
        *("gen", "col", "capt", "lieut", "sgt", "vs", "cf", "viz", "vol", "chap", "fig", "e.g", "i.e", "p.ex"),
        *("z.b", "d.h", "bzw", "jan", "feb", "aug", "sept", "oct", "nov", "dec"),
    )
)
INITIAL = re.compile(r"(?:.*\.)?[^\W\d_a-zI]")  # of a name or an abbreviation, such as J. or U.S.; I is a word


def split_sentences(text: str) -> list[str]:
    """Returns the sentences of a text, each on one line, with single spaces.

    A sentence ends at a full stop, an exclamation mark, a question mark or an ellipsis, with the quotation marks and
    brackets that close there, or before a blank line. It does not end before a word in lower case, nor at the full stop
    of a common abbreviation or of an initial.
    """
    sentences = []
    for paragraph in BLANK_LINES.split(text):
        line = " ".join(paragraph.split())
        start = 0
        for mark in END.finditer(line):
            if _ends_sentence(line, start, mark):
                sentences.append(line[start : mark.end()].strip())
                start = mark.end()
        sentences.append(line[start:].strip())
    return [sentence for sentence in sentences if sentence]


def _ends_sentence(line: str, start: int, mark: re.Match) -> bool:
    """True if a sentence that begins at `start` ends at a mark."""
    if line[mark.end() + 1 : mark.end() + 2].islower():  # after one space
        return False
    word = re.search(r"[\w.]*$", line[start : mark.start()])[0]
    return mark.group() != "." or not (word.lower() in ABBREVIATIONS or INITIAL.fullmatch(word))


def split_documents(text: str, *, by_line: bool = False) -> list[list[str]]:
    """Returns the documents of a text, which blank lines separate, as lists of at least one sentence.

    Args:
      text: the text.
      by_line: each line is a sentence, as in the files that BERT's own program reads; else see `split_sentences`.
    """
    parts = BLANK_LINES.split(text)
    if by_line:
        documents = [[line.strip() for line in part.split("\n") if line.strip()] for part in parts]
    else:
        documents = [split_sentences(part) for part in parts]
    return [document for document in documents if document]
