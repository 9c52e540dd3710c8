"""Files that travel with lsloop: SQL, templates, default parameters.

They are in the wheel, else in the checkout.
"""

from pathlib import Path
from xml.parsers import expat

from lsloop.errors import UsageError

_PACKAGE = Path(__file__).parent
_ROOT = _PACKAGE / "_shipped" if (_PACKAGE / "_shipped").is_dir() else _PACKAGE.parents[1]


def path(*parts: str) -> Path:
    """The place of the shipped file or folder, as in `path("sql", "migrations")`."""
    return _ROOT.joinpath(*parts)


def template(name: str, project_dir: Path | None = None) -> str:
    """A label config by its name.

    The project folder's own `label_studio_templates/<name>.xml` wins over the shipped one. Raises
    FileNotFoundError when neither exists, UsageError for what is no text or no XML.
    """
    own = project_dir / "label_studio_templates" / f"{name}.xml" if project_dir else None
    if (
        own and not own.is_file() and (own.is_symlink() or own.exists())
    ):  # the shipped one is not what was meant
        what = f"The template {own} is {'a link to nowhere' if own.is_symlink() else 'not a file'}."
        raise UsageError(
            what, "Put a file in its place, or take it away to use the one that comes with lsloop."
        )
    return checked(own if own and own.is_file() else path("label_studio_templates", f"{name}.xml"))


def checked(found: Path) -> str:
    """The label config in a file.

    Raises FileNotFoundError, and UsageError for what is no text or no XML.
    """
    text = _text(found)
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = lambda *_: _refuse_doctype(found)
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        what = f"The template {found} is not XML: {expat.ErrorString(error.code)}, line {error.lineno}."
        raise UsageError(
            what, "Correct it, or take it away to use the one that comes with lsloop."
        ) from error
    return text


def _refuse_doctype(found: Path) -> None:
    raise UsageError(f"The template {found} has a <!DOCTYPE>, which Label Studio refuses.", "Take it out.")


def instruction(name: str, project_dir: Path | None = None) -> str:
    """What annotators are told on the page.

    It is the HTML beside a label config; empty where there is none. A template of the project folder has its
    own, or none.
    """
    folder = project_dir / "label_studio_templates" if project_dir else None
    home = folder if folder and (folder / f"{name}.xml").is_file() else path("label_studio_templates")
    found = home / f"{name}.html"
    return _text(found) if found.is_file() else ""


def _text(found: Path) -> str:
    try:
        return found.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UsageError(f"The template {found}, line {line} is not UTF-8.", "Save it as UTF-8.") from error
