"""How many of the pairs that are taken out of novels are true replies: prints JSON.

    python benchmarks/dialogue.py GOLD [--gap 200 50] [--novels NAME ...]

GOLD is the folder `data` of the Project Dialogism Novel Corpus (https://github.com/Priya22/project-dialogism-novel-corpus):
a folder for each novel, with novel_text.txt and quotation_info.csv, which names the speaker and the addressees of every
quotation. A pair is true when its two turns are by different people and one of them is spoken to in the other's turn; a
turn without any labelled quotation makes its pair false. Intervals of 95%: Wilson's over pairs, and a bootstrap over
novels, which is the wider and the honest one.
"""

from __future__ import annotations

import argparse
import ast
import csv
import json
import math
import random
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from coldframe.corpus.dialogue.exchanges import GAP, Spoken, exchanges

Label = tuple[str, frozenset[str]]
"""Speaker and addressees."""


@dataclass
class Novel:
    """A novel with its quotations, as (start, end, speaker, addressees)."""

    name: str
    text: str
    quotations: list[tuple[int, int, str, frozenset[str]]]

    def label(self, spoken: Spoken) -> Label | None:
        """Who speaks most of a turn, and to whom; None where no quotation is labelled."""
        shares: Counter[str] = Counter()
        heard: dict[str, set[str]] = {}
        for start, end in spoken.spans:
            for left, right, speaker, addressees in self.quotations:
                if left < end and right > start:
                    shares[speaker] += min(right, end) - max(left, start)
                    heard.setdefault(speaker, set()).update(addressees)
        if not shares:
            return None
        speaker = shares.most_common(1)[0][0]
        return speaker, frozenset(heard[speaker])


def read_novel(folder: Path) -> Novel:
    """A novel of the corpus."""
    quotations = []
    with (folder / "quotation_info.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            addressees = frozenset(ast.literal_eval(row["addressees"]))
            for start, end in ast.literal_eval(row["quoteByteSpans"]):
                quotations.append((start, end, row["speaker"], addressees))
    text = (folder / "novel_text.txt").read_bytes().decode()
    return Novel(folder.name, text, quotations)


def is_reply(one: Label | None, two: Label | None) -> bool:
    """Whether the second turn answers the first."""
    return bool(one and two and one[0] != two[0] and (two[0] in one[1] or one[0] in two[1]))


def wilson(true: int, pairs: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval of a share."""
    share, whole = true / pairs, 1 + z * z / pairs
    middle, half = share + z * z / (2 * pairs), z * math.sqrt(share * (1 - share) / pairs + z * z / (4 * pairs**2))
    return (middle - half) / whole, (middle + half) / whole


def bootstrap(counts: list[tuple[int, int, int]], turns: int = 2000) -> dict[str, list[float]]:
    """Intervals of (share true, pairs in 1,000 words) when the novels are drawn anew."""
    draw, found = random.Random(0), []
    for _ in range(turns):
        drawn = draw.choices(counts, k=len(counts))
        pairs, true, words = (sum(one[place] for one in drawn) for place in range(3))
        found.append((true / max(1, pairs), 1000 * pairs / words))
    ends = (int(turns * 0.025), int(turns * 0.975))
    shares, yields = (sorted(one[place] for one in found) for place in range(2))
    return {
        "true_replies": [round(shares[end], 4) for end in ends],
        "pairs_per_thousand_words": [round(yields[end], 2) for end in ends],
    }


def measure(novels: list[Novel], gap: int) -> dict[str, object]:
    """Yield, precision and processor time at one gap."""
    counts, seconds = [], 0.0
    for novel in novels:
        began = time.process_time()
        found = exchanges(novel.text, gap)
        seconds += time.process_time() - began
        labels = [[novel.label(spoken) for spoken in exchange] for exchange in found]
        pairs = [pair for exchange in labels for pair in zip(exchange, exchange[1:], strict=False)]
        counts.append((len(pairs), sum(is_reply(*pair) for pair in pairs), len(novel.text.split())))
    pairs_found, true, words = (sum(one[place] for one in counts) for place in range(3))
    worst = min((found[1] / max(1, found[0]), novel.name) for found, novel in zip(counts, novels, strict=True))
    return {
        "gap": gap,
        "novels": len(novels),
        "words": words,
        "pairs": pairs_found,
        "pairs_per_thousand_words": round(1000 * pairs_found / words, 3),
        "true_replies": round(true / pairs_found, 4),
        "interval_over_pairs": [round(end, 4) for end in wilson(true, pairs_found)],
        "interval_over_novels": bootstrap(counts),
        "worst_novel": [worst[1], round(worst[0], 4)],
        "processor_seconds": round(seconds, 2),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gold", type=Path)
    parser.add_argument("--gap", type=int, nargs="+", default=[GAP])
    parser.add_argument("--novels", nargs="+", default=[])
    chosen = parser.parse_args()
    folders = sorted(folder for folder in chosen.gold.iterdir() if (folder / "quotation_info.csv").is_file())
    novels = [read_novel(folder) for folder in folders if not chosen.novels or folder.name in chosen.novels]
    print(json.dumps({"gaps": [measure(novels, gap) for gap in chosen.gap]}, indent=1))


if __name__ == "__main__":
    main()
