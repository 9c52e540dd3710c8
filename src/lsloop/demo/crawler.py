"""Crawler upstream, which changes its rows while people annotate them.

It replaces clips, too."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import count
from pathlib import Path
from typing import Any, Literal

from numpy.random import Generator

from lsloop.demo.chance import stream
from lsloop.demo.dataset import HEARD, read_rows, record, write_rows
from lsloop.demo.language import Utterance, misheard, misspell, utterances

What = Literal["mended", "misheard", "translation", "media"]
"""A word of the transcript put right that was wrong, or written wrong in another way; another translation,
another clip."""


@dataclass(frozen=True)
class Change:
    """One thing that the crawler changed about one sample."""

    external_id: str
    what: What


def crawl(
    raw_dir: Path, seed: int, turn: int, amounts: Mapping[What, int], among: Collection[str] | None = None
) -> list[Change]:
    """Change that many samples of the world `seed`, each in one way.

    It changes fewer where there are not enough. `turn` tells one visit from the next; `among` narrows the
    choice to these external ids.
    """
    rows = {row["external_id"]: row for row in read_rows(raw_dir)}
    said = {one.external_id: one for one in utterances(len(rows), seed)}
    candidates = sorted(rows if among is None else among)
    order = [str(name) for name in stream(seed, "crawler", turn).permutation(candidates)]
    changes = _choose([(rows[name], said[name]) for name in order], amounts)
    for change in changes:
        name = change.external_id
        _apply(raw_dir, seed, turn, rows[name], said[name], change.what)
    write_rows(raw_dir, list(rows.values()))
    return changes


def _choose(
    candidates: Sequence[tuple[dict[str, Any], Utterance]], amounts: Mapping[What, int]
) -> list[Change]:
    """Choose the first samples that can be changed in each way.

    Ways that fewer samples can be changed in come first.
    """
    ways: tuple[What, ...] = ("mended", "misheard", "translation", "media")
    wanted: list[What] = [what for what in ways for _ in range(amounts.get(what, 0))]
    left, changes = list(candidates), []
    for what in wanted:
        found = next((one for one in left if _can(what, *one)), None)
        if found:
            left.remove(found)
            changes.append(Change(found[1].external_id, what))
    return changes


def _can(what: What, row: dict[str, Any], said: Utterance) -> bool:
    needed = {"mended": 2, "misheard": 1}.get(what, 0)
    return len(_wrong(row["transcript"], said.text)) >= needed


def _wrong(draft: str, said: str) -> list[tuple[int, int, list[str]]]:
    """Find where a draft is wrong: from which word to which.

    The words that belong there are returned with it.
    """
    was, right = draft.split(), said.split()
    return [
        (i, j, right[k:m])
        for what, i, j, k, m in SequenceMatcher(None, was, right, autojunk=False).get_opcodes()
        if what != "equal"
    ]


def _apply(raw_dir: Path, seed: int, turn: int, row: dict[str, Any], said: Utterance, what: What) -> None:
    rng = stream(seed, "crawler", turn, what, said.external_id)
    if what == "media":
        record(raw_dir, said, seed, take=1 + turn)
    elif what == "translation":
        drafts = (misheard(said.translation, HEARD, rng) for _ in count())
        row["translation"] = next(draft for draft in drafts if draft != row["translation"])
    else:
        row["transcript"] = _heard_anew(row["transcript"], said.text, rng, is_right=what == "mended")


def _heard_anew(draft: str, said: str, rng: Generator, *, is_right: bool) -> str:
    """The draft with one of its wrong places put right, or wrong in another way."""
    was, wrong = draft.split(), _wrong(draft, said)
    i, j, right = wrong[int(rng.integers(len(wrong)))]
    new = right if is_right else _otherwise(was[i:j], right, rng)
    return " ".join([*was[:i], *new, *was[j:]])


def _otherwise(was: list[str], right: list[str], rng: Generator) -> list[str]:
    """Neither what stood there nor what belongs there."""
    if not right:
        return [misspell(word, rng) for word in was]
    guesses = ([misheard(word, 1.0, rng) for word in right] for _ in count())
    return next(guess for guess in guesses if guess != was)
