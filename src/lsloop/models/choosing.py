"""The choice of the model family that answers a labelling job with a model.

Nothing heavy is imported for the choice. An installed package adds families through the entry-point group
`lsloop.model_families`.
"""

from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points

from lsloop.errors import UsageError
from lsloop.models import Family, Job, Trainable, checkpoint
from lsloop.models.families import SHIPPED

GROUP = "lsloop.model_families"


def names() -> list[str]:
    """The names of the families there are, sorted.

    They are those that come with lsloop and those of installed packages.
    """
    return sorted({*SHIPPED, *_installed()})


def family(job: Job, place: str) -> Family:
    """The family that answers a job with the model at a place.

    Raises UsageError when none does.
    """
    fits = []
    for one in _families():
        if one.answers(job):
            fits.append(one)
            if one.recognises(place):
                return one
    if not fits:
        raise UsageError(f"No model family answers {job.kind}.", f"There are: {', '.join(names())}.")
    what = ", ".join(checkpoint.architectures(place)) or "no architecture in its config.json"
    raise UsageError(
        f"The model {place} ({what}) cannot answer {job.kind}.", "Name another model in params.yaml."
    )


def trainable(job: Job, place: str) -> Trainable:
    """The family of a job and a place, for a model that is to be fine-tuned.

    Raises UsageError where its family only answers.
    """
    found = family(job, place)
    if not isinstance(found, Trainable):
        raise UsageError(
            f"The model {place} cannot be trained: its family only answers.",
            "Name a base that can be trained, in params.yaml or with --base.",
        )
    return found


def _families() -> Iterator[Family]:
    yield from SHIPPED.values()
    for name, entry in sorted(_installed().items()):
        if name not in SHIPPED:
            yield _loaded(name, entry)


def _loaded(name: str, entry: EntryPoint) -> Family:
    try:
        found = entry.load()
    except Exception as error:  # whatever a package raises
        problem = f"The model family {name!r} cannot be imported: {type(error).__name__}: {error}."
        raise UsageError(problem, f"Correct or remove {entry.value.partition(':')[0]}.") from error
    if not isinstance(found, Family):
        raise UsageError(
            f"The model family {name!r} is not complete.", "Give it every member of lsloop.models.Family."
        )
    return found


def _installed() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}
