#!/usr/bin/env python3
"""Writes grades.csv: the counts of the paper's figure 3 as rows, one a model and question.

    python3 reports/owleval-paper/make.py FOLDER_WITH_QUESTIONS_JSONL > reports/owleval-paper/grades.csv

Only the counts are the paper's. Which question got which grade was not published: the assignment below is one of many
that give the published counts, the single-turn ones over 50 questions and the multi-turn ones over 52 at once, though 20
questions are of both. Source of the counts: X-PLUG/mPLUG-Owl, mPLUG-Owl/assets/mPLUG_Owl_compare_result_s&mturn.png,
which is figure 3 of arXiv 2304.14178, transcribed from the image. From the text of the paper: over all 82 questions
mPLUG-Owl has 66 answers of A or B, MiniGPT-4 has 54.
"""

import csv
import itertools
import json
import pathlib
import sys

# Model: single-turn A, B, C, D; multi-turn A, B, C, D; A or B of all 82, where the paper says it.
PAPER = {
    "OpenFlamingo": ([5, 5, 15, 25], [4, 4, 16, 28], None),
    "BLIP-2": ([13, 13, 9, 15], [13, 10, 17, 12], None),
    "LLaVA": ([23, 12, 13, 2], [16, 17, 19, 0], None),
    "MiniGPT-4": ([35, 3, 10, 2], [25, 6, 21, 0], 54),
    "mPLUG-Owl": ([32, 10, 8, 0], [31, 8, 13, 0], 66),
}


def overlap(single, multi, good, both):
    """The grades of the questions that are of both categories: of all whole numbers that fit, those nearest to the
    shares of the two published rows; of equally near ones the first."""
    expected = [both * (s / sum(single) + m / sum(multi)) / 2 for s, m in zip(single, multi)]
    ranges = [range(min(s, m) + 1) for s, m in zip(single, multi)]
    fitting = [
        counts
        for counts in itertools.product(*ranges)
        if sum(counts) == both and (good is None or sum(single[:2]) + sum(multi[:2]) - sum(counts[:2]) == good)
    ]
    return min(fitting, key=lambda counts: sum((c - e) ** 2 for c, e in zip(counts, expected)))


def main():
    lines = (pathlib.Path(sys.argv[1]) / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    questions = [json.loads(line) for line in lines if line.strip()]
    of = lambda *categories: [q for q in questions if sorted(q["category"]) == sorted(categories)]
    parts = [of("single_turn"), of("multi_turn", "single_turn"), of("multi_turn")]
    assert [len(part) for part in parts] == [30, 20, 32], "not the questions of OwlEval"
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["sheet", "rater", "model_id", "question_id", "item", "image", "subsets", "abilities", "grade"])
    for model, (single, multi, good) in PAPER.items():
        both = overlap(single, multi, good, len(parts[1]))
        counts = [[s - b for s, b in zip(single, both)], both, [m - b for m, b in zip(multi, both)]]
        grades = {}
        for part, of_part in zip(parts, counts):
            letters = "".join(letter * count for letter, count in zip("ABCD", of_part))
            assert len(letters) == len(part)
            grades.update({q["question_id"]: letter for q, letter in zip(part, letters)})
        for q in questions:
            # No abilities: grades by ability would be the assignment's, not the paper's.
            subsets = ";".join(q["category"])
            writer.writerow(["", "paper", model, q["question_id"], "", q["image"], subsets, "", grades[q["question_id"]]])


main()
