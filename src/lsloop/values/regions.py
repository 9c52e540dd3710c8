"""Reading and writing of Label Studio regions with the label config at hand.

Pure: no network, no SDK.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any
from xml.etree import ElementTree

from lsloop.records import Result
from lsloop.values.text import clean

_OPTIONS = {"Choice", "Label"}


class Nothing(ValueError):
    """A ValueError for an answer that says nothing, or something that cannot be.

    It is no answer.
    """


@dataclass(frozen=True)
class Control:
    """A control tag of a label config.

    `type` is the tag in small letters, `values` its choices or labels. `per_region`: what is answered is
    about one region, not about the task. `most`: stars that a rating has.
    """

    type: str
    to_name: str = ""
    values: tuple[str, ...] = ()
    per_region: bool = False
    most: int = 5


@lru_cache(maxsize=64)
def controls(config: str) -> Mapping[str, Control]:
    """The controls of a label config by name.

    Raises ValueError when it is not well-formed XML.
    """
    tags = [tag for tag in _parse(config).iter() if tag.get("name") and tag.get("toName")]
    return MappingProxyType({tag.attrib["name"]: _control(tag) for tag in tags})


@lru_cache(maxsize=64)
def variables(config: str) -> frozenset[str]:
    """The keys that every task's data must have: `audio` for `$audio`.

    Raises as `controls` does. Label Studio asks for the first variable in the value of each tag with a name,
    and refuses tasks without it.
    """
    values = (tag.get("value", "") for tag in _parse(config).iter() if tag.get("name"))
    return frozenset(found[1] for value in values if (found := re.search(r"\$(\w+)", value)))


@lru_cache(maxsize=64)
def shown(config: str) -> frozenset[str]:
    """All variables of a label config: those that are asked for or shown.

    Raises as `controls` does. They are those that Label Studio asks for, and what else is shown. A heading
    without a name shows what it finds, and so do the lists of pages (`valueList`) and of choices. A number
    that limits the editor (`maxMessages="$max"`) is not shown.
    """
    given = (
        value for tag in _parse(config).iter() for key, value in tag.attrib.items() if key.lower() in _SHOWING
    )
    return variables(config) | {found[1] for value in given if (found := _VARIABLE.fullmatch(value.strip()))}


_SHOWING = ("value", "valuelist", "html", "audiourl", "src", "text", "content")
"""Attributes that hold what is shown."""

_VARIABLE = re.compile(r"\$([A-Za-z_]\w*)(?:[.\[].*)?")
"""A value that is a variable, or a part of one."""

MEDIA = ("image", "audio", "audioplus", "video", "pdf", "timeseries")
"""Objects whose value is the address of a file."""


@lru_cache(maxsize=64)
def objects(config: str) -> Mapping[str, tuple[str, str]]:
    """The objects shown by name: the tag, and the variable of its value.

    The tag is in small letters. Raises as `controls` does.
    """
    tags = [tag for tag in _parse(config).iter() if tag.get("name") and not tag.get("toName")]
    found = ((tag, _VARIABLE.fullmatch(tag.get("value", "").strip())) for tag in tags)
    return MappingProxyType(
        {tag.attrib["name"]: (tag.tag.lower(), value[1] if value else "") for tag, value in found}
    )


@lru_cache(maxsize=64)
def media_variables(config: str) -> tuple[str, ...]:
    """The variables that hold the address of a media file.

    They are in the order of the label config. Raises as `controls` does.
    """
    tags = [tag for tag in _parse(config).iter() if tag.tag.lower() in MEDIA and tag.get("name")]
    found = (re.fullmatch(r"\$(\w+)", tag.get("value", "")) for tag in tags)
    return tuple(dict.fromkeys(match[1] for match in found if match))


def misfits(config: str, needs: Mapping[str, Control]) -> list[str]:
    """The reasons why answers given with this label config are not understood.

    Empty when everything fits.
    """
    try:
        found = controls(config)
    except ValueError as error:
        return [str(error)]
    return [problem for name, need in needs.items() for problem in _misfit(name, found.get(name), need)]


def require(config: str, needs: Mapping[str, Control]) -> None:
    """Raise ValueError naming what the label config lacks."""
    problems = misfits(config, needs)
    if problems:
        raise ValueError(f"The label config no longer fits: {'; '.join(problems)}.")


def specimens(config: str, needs: Mapping[str, Control]) -> tuple[Result, dict[str, Result]]:
    """An answer as the page would send it, and other answers of each control.

    The answer has what is needed; by name, what else each control may send. It is for controls whose answers
    are known here; those of pictures and of other people's own are not.
    """
    tags = {tag.attrib["name"]: tag for tag in _parse(config).iter() if tag.get("name") and tag.get("toName")}
    made = {name: [_region(tag, value) for value in _values(tag)] for name, tag in tags.items()}
    return [part for name in needs for part in made.get(name, [])[:1]], made


def _region(tag: ElementTree.Element, value: dict[str, Any]) -> dict[str, Any]:
    belongs = tag.get("perRegion") == "true" or tag.tag == "Labels"
    return {
        "id": "span" if belongs else tag.attrib["name"],
        "from_name": tag.attrib["name"], "type": tag.tag.lower(),
        "to_name": tag.attrib["toName"].split(",")[0], "value": value,
    }  # fmt: skip


def _values(tag: ElementTree.Element) -> list[dict[str, Any]]:
    """The values that a control may send: of each option, and the most."""
    options = _control(tag).values
    if tag.tag == "Labels":
        return [{"start": 0.0, "end": 1.0, "channel": 0, "labels": [name]} for name in options]
    if tag.tag == "Choices":
        return [{"choices": [name]} for name in options]
    if tag.tag == "Rating":
        return [{"rating": stars} for stars in (1, _control(tag).most)]
    simple: dict[str, dict[str, Any]] = {
        "TextArea": {"text": ["x"]}, "Taxonomy": {"taxonomy": [["x", "y"]]}, "Number": {"number": 3},
        "DateTime": {"datetime": "2026-01-01"}, "Pairwise": {"selected": "left"},
    }  # fmt: skip
    return [simple[tag.tag]] if tag.tag in simple else []


def region(config: str, name: str, value: Mapping[str, Any], region_id: str = "") -> Result:
    """One region for the control `name`.

    None where the label config has no such control.
    """
    control = controls(config).get(name)
    if control is None:
        return []
    return [
        {
            "id": region_id or name,
            "from_name": name,
            "to_name": control.to_name,
            "type": control.type,
            "value": dict(value),
        }
    ]


def text_region(config: str, name: str, text: str) -> Result:
    """The text in a TextArea; no region where there is no text."""
    return region(config, name, {"text": [text]}) if text else []


def choices_region(config: str, name: str, chosen: list[str]) -> Result:
    """The choices made; no region where none is."""
    return region(config, name, {"choices": list(chosen)}) if chosen else []


def rating_region(config: str, name: str, stars: int | None) -> Result:
    """The stars given; no region where none are."""
    return region(config, name, {"rating": stars}) if stars else []


def answers(result: Result, name: str) -> list[dict[str, Any]]:
    """The regions that the control `name` made.

    Raises ValueError for what is not a list of regions.
    """
    if not isinstance(result, list) or not all(isinstance(answer, dict) for answer in result):
        raise ValueError("The result is not a list of regions.")
    found = [answer for answer in result if answer.get("from_name") == name]
    if not all(isinstance(answer.get("value"), dict) for answer in found):
        raise ValueError(f"The answer {name!r} has no value.")
    return found


def read_text(result: Result, name: str) -> str:
    """The text of a TextArea: its lines, joined, in the one form `clean` gives."""
    lines = [line for answer in answers(result, name) for line in strings(answer, "text")]
    return clean("\n".join(lines))


def read_choices(result: Result, name: str) -> list[str]:
    """The choices made, sorted, each once."""
    return sorted({choice for answer in answers(result, name) for choice in strings(answer, "choices")})


def read_rating(result: Result, name: str) -> int | None:
    """The stars given, or None.

    Raises ValueError when they are not a whole number from 1 to 5.
    """
    stars = [answer["value"].get("rating") for answer in answers(result, name)]
    if not all(star in (1, 2, 3, 4, 5) and star is not True for star in stars):
        raise ValueError(f"The rating {name!r} is {stars[0]!r}; it must be a whole number from 1 to 5.")
    return int(stars[-1]) if stars else None


def strings(answer: Mapping[str, Any], key: str) -> list[str]:
    """The texts under `key` of one region's value.

    A single one may stand without a list around it.
    """
    found = answer["value"].get(key)
    texts = [found] if isinstance(found, str) else found
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"The answer {answer.get('from_name')!r} has no {key!r}, or not as a list of texts.")
    return texts


def _parse(config: str) -> ElementTree.Element:
    try:
        # expat refuses entity bombs since 2.4.1, and ElementTree opens no external entity
        return ElementTree.fromstring(config)  # noqa: S314
    except ElementTree.ParseError as error:
        raise ValueError(f"the label config is not well-formed XML: {error}") from error


def _control(tag: ElementTree.Element) -> Control:
    options = (option.get("alias") or option.get("value") for option in tag.iter() if option.tag in _OPTIONS)
    per_region = tag.get("perRegion", "").lower() == "true"
    stars = tag.get("maxRating", "").strip()
    most = int(stars) if stars.isdecimal() else 5
    return Control(
        tag.tag.lower(), tag.attrib["toName"].split(",")[0], tuple(filter(None, options)), per_region, most
    )


def _misfit(name: str, found: Control | None, need: Control) -> list[str]:
    if found is None:
        return [f"it has no {need.type} called {name!r}"]
    if found.type != need.type:
        return [f"{name!r} is a {found.type}, not a {need.type}"]
    lost = [value for value in need.values if value not in found.values]
    return [f"{name!r} has lost {', '.join(lost)}"] if lost else []
