"""Active learning: what the model is least sure of, as `push --order uncertain` chooses it, against what
chance chooses.

Both get the same budget of answers and the same training; the speech is the demo's. Answers are what was
really said.
"""

import json
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Any

from benchmarks.place import KIND, Place, fresh_ledger
from benchmarks.rows import Row, told
from lsloop import config, ledger, loop
from lsloop.config import Config
from lsloop.demo import dataset
from lsloop.demo.language import WORDS, Utterance, utterance
from lsloop.demo.school import HELD_OUT
from lsloop.demo.stage import TRAINING
from lsloop.ledger import Ledger
from lsloop.models import Row as Example
from lsloop.models import Training
from lsloop.records import Order
from lsloop.steps import sample
from lsloop.values import agreement

SEEDS, ROUNDS = 5, 3
BASE, POOL, EACH, TESTED = 34, 200, 40, 110
ORDERS: tuple[Order, ...] = ("uncertain", "random")


def against_chance(place: Place) -> Iterator[Row]:
    """The word error rate after each round, and in how many worlds it was lower."""
    with tempfile.TemporaryDirectory(prefix="lsloop-bench-") as folder:
        yield from measured(Path(folder), partial(fresh_ledger, place))


def measured(
    folder: Path, fresh: Callable[[], AbstractContextManager[str]], seeds: int = SEEDS
) -> Iterator[Row]:
    """In an empty folder, on a fresh ledger for each world."""
    found: dict[Order, list[list[float]]] = {order: [] for order in ORDERS}
    for seed in range(seeds):
        with fresh() as url, _made(folder / str(seed), url, seed) as world:
            for order in ORDERS:
                found[order].append(_rounds(world, order))
    for number in range(ROUNDS + 1):
        for order in ORDERS if number else ORDERS[:1]:
            rates = [one[number] for one in found[order]]
            mean, spread = statistics.mean(rates), statistics.stdev(rates) if len(rates) > 1 else 0.0
            who = f"--order {order}" if number else "before"
            name = f"WER after round {number}, {who}: mean of {seeds} worlds, ± {spread:.3f} among them"
            yield told(f"{name} ({', '.join(f'{rate:.3f}' for rate in rates)})", mean, "")
        if number:
            better = sum(
                a < b for a, b in zip(*(([o[number] for o in found[x]]) for x in ORDERS), strict=True)
            )
            yield told(f"worlds in which uncertain was better after round {number}", better, f"of {seeds}")


@dataclass(frozen=True)
class _World:
    folder: Path
    seed: int
    config: Config
    ledger: Ledger
    base: Path
    learnt: Sequence[Example]
    tested: Sequence[Example]
    said: dict[str, str]


@contextmanager
def _made(folder: Path, database_url: str, seed: int) -> Iterator[_World]:
    """Clips of one seed: of speakers that are tested, and of others; the pool of these is in the ledger."""
    raw = folder / "data" / "raw"
    (raw / "audio").mkdir(parents=True)
    (raw / "metadata.jsonl").touch()
    names = {f"{order}-{seed}": {"kind": KIND, "template": KIND, "title": order} for order in ORDERS}
    (folder / "params.yaml").write_text(json.dumps({"task_types": names}), encoding="utf-8")
    known = list(islice(_said(seed, False), BASE + POOL))
    tested = list(islice(_said(seed, True), TESTED))
    for one in (*known[:BASE], *tested):
        dataset.record(raw, one, seed, take=1)
    said = dataset.add(raw, known[BASE:], seed)
    settings = config.load(folder)
    opened = ledger.connect(database_url)
    sample.ingest(opened, raw / "metadata.jsonl", raw_dir=raw)
    learnt = [_example(raw, one.external_id, one.text) for one in known[:BASE]]
    base = _trained(folder / "base", _fresh(folder / "fresh", seed), learnt, seed)
    asked = [_example(raw, one.external_id, one.text) for one in tested]
    yield _World(folder, seed, settings, opened, base, learnt, asked, said)
    opened.close()


def _said(seed: int, held_out: bool) -> Iterator[Utterance]:
    said = (utterance(number, seed) for number in count(1))
    return (one for one in said if (one.speaker in HELD_OUT) == held_out)


def _rounds(world: _World, order: Order) -> list[float]:
    """The word error rate before the first round and after each."""
    name, model, learnt = f"{order}-{world.seed}", world.base, list(world.learnt)
    rates = [_word_error_rate(model, world.tested)]
    for number in range(1, ROUNDS + 1):
        loop.predict(world.ledger, world.config, name, model=str(model))
        seed = f"{world.seed}/{number}"
        chosen = loop.plan_push(world.ledger, world.config, name, limit=EACH, order=order, seed=seed).samples
        with world.ledger.transaction() as transaction:
            for one in chosen:
                transaction.value(
                    "SELECT lock_sample_for_annotation(CAST(:id AS uuid), 'bench', CAST(:name AS text))",
                    id=str(one.sample_id), name=name,
                )  # fmt: skip
        raw = world.config.raw_dir
        learnt += [_example(raw, one.external_id, world.said[one.external_id]) for one in chosen]
        model = _trained(world.folder / f"{order}-{number}", model, learnt, world.seed)
        rates.append(_word_error_rate(model, world.tested))
    return rates


def _fresh(folder: Path, seed: int) -> Path:
    from lsloop.models.families import speech_ctc

    return speech_ctc.fresh(folder, sorted(set("".join(WORDS))), seed)


def _trained(out: Path, base: Path, learnt: Sequence[Example], seed: int) -> Path:
    from lsloop.models.families import speech_ctc

    return speech_ctc.train(learnt, [], Training(str(base), out, TRAINING, seed))


def _word_error_rate(model: Path, tested: Sequence[Example]) -> float:
    from lsloop.models.families import speech_ctc

    answers = speech_ctc.load(str(model), "cpu").predict(tested)
    errors: list[tuple[int, int]] = [
        agreement.word_errors(_text(answer.value), row["transcript"])
        for answer, row in zip(answers, tested, strict=True)
    ]
    return sum(wrong for wrong, _ in errors) / sum(of for _, of in errors)


def _text(value: dict[str, Any] | None) -> str:
    return str((value or {}).get("transcript", ""))


def _example(raw: Path, external_id: str, text: str) -> Example:
    return {"sample_id": external_id, "media": str(raw / dataset.media(external_id)), "transcript": text}
