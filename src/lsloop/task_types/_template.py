"""A kind of labelling job made of its label config alone.

It is what its variables show and its controls answer, for a job without rules of its own. Its values are
those of `values.answers`; a part that was not answered is None.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from lsloop.records import Result, Sample, Value
from lsloop.values import possible, regions
from lsloop.values.answers import OTHER, REGIONS, RELATIONS, Answers
from lsloop.values.records import Record
from lsloop.values.regions import Control
from lsloop.values.text import is_blank


@dataclass(frozen=True)
class TemplateKind:
    """A kind as its label config has it.

    `shows` are the sample fields by the names of the variables.
    """

    READS: tuple[str, ...]
    WRITES: tuple[str, ...]
    shows: Mapping[str, str]
    answers: Answers
    recordings: frozenset[str] = frozenset()
    """Objects that play the sample's media file, by name."""

    @property
    def NEEDS(self) -> Mapping[str, Control]:
        """The controls that must stay: none.

        A control that somebody takes out is not answered any more.
        """
        return {}

    def task_data(self, sample: Sample, media_url: str | None) -> dict[str, Any]:
        """Each variable with the sample's field, or the link to its media."""
        shown = {
            variable: (media_url or "") if name == "media" else sample.fields.get(name, "")
            for variable, name in self.shows.items()
        }
        return {**shown, "candidates": "", "sample_id": str(sample.sample_id)}

    def to_result(self, value: Value, config: str, sample: Sample) -> Result:
        """The value as result items.

        Raises ValueError for an answer that its control cannot have.
        """
        return self._with(config).write({name: part for name, part in value.items() if part is not None})

    def from_result(self, result: Result, config: str) -> Value:
        """The result items as a value.

        Raises ValueError when nothing is answered where something must be.
        """
        value = self._with(config).read(result)
        if why := next(filter(None, map(possible.why_not, self._regions(value))), ""):
            raise regions.Nothing(why)
        if not self._may_be_empty and all(_says_nothing(part) for part in value.values()):
            raise regions.Nothing("Nothing is answered.")
        return {**dict.fromkeys(self.WRITES), **value}

    def impossible(self, value: Value, duration: float) -> str | None:
        """Say why these regions cannot be of a recording of so many seconds.

        None where they can.
        """
        heard = (one for one in self._regions(value) if one["on"] in self.recordings)
        return next(filter(None, (possible.too_late(one, duration) for one in heard)), None)

    def _regions(self, value: Value) -> list[Record]:
        found: list[Record] = value.get(self.answers.renamed.get(REGIONS, REGIONS)) or []
        return found

    @property
    def unknown(self) -> tuple[str, ...]:
        """The controls that no codec knows.

        What they say is kept as it came, and no model can say it.
        """
        return self.answers.unknown

    @property
    def _may_be_empty(self) -> bool:
        """Return whether "there is nothing to mark" is an answer."""
        return self.answers.renamed.get(REGIONS, REGIONS) in self.WRITES

    def upstream_value(self, sample: Sample) -> Value | None:
        """What the sample has under the names of the answers."""
        found = {name: sample.fields[name] for name in self.WRITES if sample.fields.get(name) is not None}
        return {**dict.fromkeys(self.WRITES), **found} if found else None

    def agree(self, a: Value, b: Value) -> float:
        """The mean agreement of the parts; see `Answers.agree`."""
        return self.answers.agree(self.answers.given(a), self.answers.given(b))

    def readable(self, value: Value) -> Value:
        """A value in words.

        Each part is a text, or a list of one for each region.
        """
        return dict(self.answers.readable(value))

    @property
    def UNIT(self) -> str:
        """The one unit of all that is answered, else `fields`; see `Answers.unit`."""
        return self.answers.unit

    def errors(self, value: Value, reference: Value) -> tuple[int, int]:
        """Wrong and all units; see `Answers.errors`."""
        return self.answers.errors(self.answers.given(value), self.answers.given(reference))

    def merge(self, base: Value, ours: Value, theirs: Value) -> Value | None:
        """Merge part by part; see `Answers.merge`."""
        merged = self.answers.merge(base, ours, theirs)
        return None if merged is None else {**dict.fromkeys(self.WRITES), **merged}

    def question(self, sample: Sample) -> dict[str, Any]:
        """What is shown, but for what is to be corrected in it."""
        return self._shown(sample, (name for name in self.READS if name not in self.WRITES))

    def answer(self, said: Value, sample: Sample) -> Value:
        """Put what was said under the names of the fields.

        It was said under those of the controls. Equal answers get one form.
        """
        named = {self.answers.renamed.get(name, name): part for name, part in said.items()}
        value = self.answers.given(named)
        regions = self.answers.renamed.get(REGIONS, REGIONS)
        if regions in value:
            value[regions] = [_sized(record, sample) for record in value[regions]]
        more = {name: part for name, part in value.items() if name not in self.WRITES}
        return {**dict.fromkeys(self.WRITES), **more, **self.answers.normal(value)}

    def training_rows(self, sample: Sample, value: Value) -> list[dict[str, Any]]:
        """What was shown, and what was answered.

        Relations and what no codec knows are with it where there are any.
        """
        beside = [
            name for part in (RELATIONS, OTHER) if (name := self.answers.renamed.get(part, part)) in value
        ]
        return [self._shown(sample, self.READS) | {name: value.get(name) for name in (*self.WRITES, *beside)}]

    @staticmethod
    def _shown(sample: Sample, names: Iterable[str]) -> dict[str, Any]:
        read = {name: sample.fields.get(name) for name in names}
        media = {"media": sample.media_path, "duration": sample.duration} if "media" in read else {}
        return {"sample_id": str(sample.sample_id), **read, **media}

    def _with(self, config: str) -> Answers:
        """The answers to the label config at hand.

        Somebody may have added a control.
        """
        return _answers(config, tuple(sorted(self.answers.renamed.items())))


def made(config: str, reads: Mapping[str, str], writes: Mapping[str, str]) -> TemplateKind:
    """Make the kind of a label config.

    Raises ValueError for one that is none, or names that it does not have. What is shown is not what is
    answered: a control that has the name of a field that is read writes `<name>_answer`, unless `writes` says
    that it corrects that field.
    """
    tags = regions.controls(config)
    if not tags:
        raise ValueError("the template has no control, so that nothing can be answered")
    parts = (*tags, REGIONS, RELATIONS, OTHER)
    _refuse_unknown("writes", writes, set(parts), "control")
    shows = _shown(config, reads)
    apart = {name: f"{name}_answer" for name in parts if name in shows.values() and name not in writes}
    answers = _answers(config, tuple(sorted({**apart, **writes}.items())))
    played = (
        (name, shows.get(variable))
        for name, (tag, variable) in regions.objects(config).items()
        if tag in PLAYED
    )
    recordings = frozenset(name for name, field in played if field == "media")
    return TemplateKind(tuple(dict.fromkeys(shows.values())), answers.writes, shows, answers, recordings)


def _shown(config: str, reads: Mapping[str, str]) -> dict[str, str]:
    variables = sorted(regions.shown(config) - OWN)
    _refuse_unknown("reads", reads, set(variables), "variable")
    files = [name for name in regions.media_variables(config) if name not in reads]
    media = {} if "media" in reads.values() else dict.fromkeys(files[:1], "media")
    return {name: reads.get(name) or media.get(name, name) for name in variables}


def _sized(record: dict[str, Any], sample: Sample) -> dict[str, Any]:
    """A record with the size of its image.

    Label Studio's page writes the size beside what people draw.
    """
    if not sample.width or "x" not in record["where"]:
        return record
    return {
        **record,
        "more": {"original_width": sample.width, "original_height": sample.height} | record["more"],
    }


PLAYED = ("audio", "audioplus", "video")

OWN = {"candidates", "sample_id", "task_key"}
"""Variables that lsloop gives itself."""


def _says_nothing(part: Any) -> bool:
    """Return whether a part of an answer is empty, or text that shows nothing."""
    if isinstance(part, str):
        return is_blank(part)
    several = part.values() if isinstance(part, dict) else part if isinstance(part, list) else [part]
    return all(one is None or (isinstance(one, str | list | dict) and _says_nothing(one)) for one in several)


def _refuse_unknown(setting: str, given: Mapping[str, str], known: set[str], what: str) -> None:
    for name in given:
        if name not in known:
            raise ValueError(f"`{setting}` names {name!r}; the template has no such {what}")


@lru_cache(maxsize=64)
def _answers(config: str, renamed: tuple[tuple[str, str], ...]) -> Answers:
    return Answers(regions.controls(config), dict(renamed))
