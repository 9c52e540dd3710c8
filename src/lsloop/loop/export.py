"""Export of what people accepted, as files."""

from functools import cache
from pathlib import Path
from typing import Any

from lsloop.config import Config
from lsloop.dataset import layouts
from lsloop.labelstudio import conversion
from lsloop.ledger import Ledger, exports
from lsloop.loop.job import kinds_of, links_to, template
from lsloop.progress import SILENT, Progress
from lsloop.steps import export as steps_export


def export(
    ledger: Ledger,
    config: Config,
    *,
    task_type: str | None = None,
    target: Path | None = None,
    layout: str = "tree",
    limit: int | None = None,
    again: bool = False,
    with_manifest: bool = True,
    dry_run: bool = False,
    progress: Progress = SILENT,
) -> steps_export.Exported:
    """Bring data/reviewed (or `target`) up to what people accepted.

    Without a task type it does so for all of them.
    """
    shares = config.params.export
    wanted = steps_export.Wanted(
        target=(target or config.reviewed_dir).resolve(),
        raw_dir=config.raw_dir.resolve(),
        project_dir=config.project_dir,
        layout=layouts.load(layout),
        kinds=kinds_of(config, task_type),
        label_configs=_label_configs(config, task_type, layout),
        validation=shares.validation,
        test=shares.test,
        limit=limit,
        again=again,
        with_manifest=with_manifest,
        also=cache(lambda: links_to(config)),  # asked once: it is DVC that answers
    )
    if dry_run:
        return steps_export.plan(ledger, wanted)
    return steps_export.export(ledger, wanted, progress)


def watermark(ledger: Ledger, config: Config) -> dict[str, Any]:
    """Return what an export of each task type would hold, in a few words.

    It changes exactly when the export would.
    """
    return {name: exports.watermark(ledger, name) for name in sorted(config.params.task_types)}


def _label_configs(config: Config, task_type: str | None, layout: str) -> dict[str, str]:
    """Return the label configs of the exported task types, if the layout needs them.

    It does where it is about images. Raises UsageError.
    """
    if layouts.converted(layouts.load(layout)) is None:
        return {}
    names = [
        config.task_type(name)[0] for name in (config.params.task_types if task_type is None else [task_type])
    ]
    found = {name: template(config, name, config.task_type(name)[1]) for name in names}
    for name, label_config in found.items():
        conversion.require_images(label_config, name)
    return found
