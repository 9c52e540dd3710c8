"""Label Studio's own gallery of label configs.

It comes with the embedded server's environment.
"""

import difflib
from dataclasses import dataclass
from pathlib import Path

import yaml

from lsloop.errors import UsageError

_HOME = "lib/python*/site-packages/label_studio/annotation_templates"


@dataclass(frozen=True)
class Template:
    """Label config of the gallery.

    `name` is its folder there, `group` its heading in Label Studio.
    """

    name: str
    title: str
    group: str
    config: str


def templates(env: Path) -> dict[str, Template]:
    """Return the gallery by name, sorted by group and name.

    Raises UsageError where no Label Studio is installed in `env`.
    """
    home = next(env.glob(_HOME), None)
    if home is None:
        raise UsageError(
            f"The gallery comes with Label Studio, which is not installed in {env}.",
            "Run `lsloop up` once, which installs it, or name in LSLOOP_STUDIO_ENV where it is; "
            "a template of your own needs neither: give its file.",
        )
    found = [_read(path) for path in home.glob("*/*/config.yml")]
    return {one.name: one for one in sorted(found, key=lambda one: (one.group, one.name))}


def template(env: Path, name: str) -> Template:
    """The template called so, by its name or its title.

    Raises UsageError.
    """
    found = templates(env)
    titles = {one.title.lower(): one for one in found.values()}
    if known := found.get(name) or titles.get(name.lower()):
        return known
    meant = difflib.get_close_matches(name, found, 3, 0.5)
    near = f" Did you mean {' or '.join(meant)}?" if meant else ""
    raise UsageError(f"The gallery has no template {name!r}.{near}", "`lsloop templates` lists them.")


def _read(path: Path) -> Template:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    title, group = (str(document.get(key) or "") for key in ("title", "group"))
    return Template(
        path.parent.name, title or path.parent.name, group, str(document["config"]).strip() + "\n"
    )
