"""What each spike needs: its own module as an installed package, and its template in the project folder."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import packages
from lsloop.config import Config

Plug = Callable[..., None]


@pytest.fixture
def plug(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Plug:
    """Install what a module has as families and kinds, by name."""

    def plugged(module: str, families: Mapping[str, str], kinds: Mapping[str, str] | None = None) -> None:
        folder = tmp_path_factory.mktemp("package")
        packages.distribute(folder, module, {packages.FAMILIES: families, packages.KINDS: kinds or {}})
        monkeypatch.syspath_prepend(str(folder))

    return plugged


@pytest.fixture
def put_template() -> Callable[[Config, str, str], None]:
    """Write the label config of a job into a project folder."""

    def put(settings: Config, job: str, label_config: str) -> None:
        folder: Path = settings.project_dir / "label_studio_templates"
        folder.mkdir()
        (folder / f"{job}.xml").write_text(label_config, encoding="utf-8")

    return put
