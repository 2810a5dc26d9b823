"""Writers of small files in NewsQA's and SQuAD's formats."""

import csv
import json

STORY = "A ship sank near Oslo on 3 May 1999 . Its captain , Nils Berg , was saved . "


def write_csv(path, rows, header=("story_id", "story_text", "question", "answer_token_ranges")):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def write_squad(path, *paragraphs):
    """Writes paragraphs (context, [(question, answer text, answer start)]); a start of None: no answer."""
    entries = [
        {
            "context": context,
            "qas": [
                {"question": question, "answers": [] if start is None else [{"text": text, "answer_start": start}]}
                for question, text, start in asked
            ],
        }
        for context, asked in paragraphs
    ]
    path.write_text(json.dumps({"version": "1.1", "data": [{"title": "t", "paragraphs": entries}]}))
    return path
