"""Settings as people write them: what is meant is what is read, and what cannot be is told with file, line
and key."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsloop import config, resources
from lsloop.commands import main
from lsloop.config import dotenv, environment
from lsloop.errors import UsageError

NAMES = set(environment.variables())


@pytest.fixture(autouse=True)
def nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def env(folder: Path, text: str | bytes) -> config.Config:
    (folder / ".env").write_bytes(text if isinstance(text, bytes) else text.encode())
    (folder / ".env").chmod(0o600)
    return config.load(folder)


def params(folder: Path, text: str | bytes) -> config.Params:
    (folder / "params.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return config.load(folder).params


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("X=a$b${HOME}c", "a$b${HOME}c"), ("X=p#w", "p#w"), ("X=#w", "#w"), ("X=pw # a remark", "pw"),
        ("X = pw ", "pw"),
        ("export X=pw", "pw"), ("X='p # w'", "p # w"), ('X="p # w" # a remark', "p # w"),
        (r'X="a\nb\\"', r"a\nb\\"),
        ("X=it's", "it's"), ("X='it's'", "it's"), ('X=a"b"', 'a"b"'), ("X='abc", "'abc"), ("X=a=b", "a=b"),
        ("x=pw", "pw"),
        ("X=mật khẩu", "mật khẩu"), ("\ufeffX=pw\r", "pw"), ("X=", None), ("X=''", None), ("# X=pw", None),
    ],
)  # fmt: skip
def test_a_value_is_what_stands_there(tmp_path: Path, line: str, value: str | None) -> None:
    (tmp_path / ".env").write_text(f"{line}\n", encoding="utf-8", newline="")
    assert dotenv.read(tmp_path / ".env", {"X"}).values.get("X") == value


@given(
    st.text(
        st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=("Cc", "Cs", "Z")), min_size=1
    )
)
def test_any_word_is_taken_literally(tmp_path_factory: pytest.TempPathFactory, word: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.env"
    for written in (word, f"'{word}'", f'"{word}"'):
        path.write_text(f"X={written}\n", encoding="utf-8")
        read = dotenv.read(path, {"X"}).values.get("X", "")
        assert read == word or (written == word and read == word[1:-1])  # quotes around all of it are quotes


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("DATABASE_URL: postgresql://u:hunter2@h/d", r"line 1: DATABASE_URL is not followed by `=`"),
        ("\nexport LABEL_STUDIO_API_KEY hunter2", r"line 2: LABEL_STUDIO_API_KEY is not followed by"),
        ("DATABASE_ULR=postgresql://u:hunter2@h/d", r"line 1: there is no setting DATABASE_ULR"),
        ("LS_PROJECT_TRANSCRIPTS=3", "there is no setting LS_PROJECT_TRANSCRIPTS"),
        ("LABEL_STUDIO_API_TOKEN=hunter2", "there is no setting LABEL_STUDIO_API_TOKEN"),
        ("LABEL-STUDIO-URL=http://h", "there is no setting LABEL-STUDIO-URL"),
        ("LSLOOP_SERVER=1", "there is no setting LSLOOP_SERVER"),
        ("DATABASE_URI: hunter2", "line 1 is not NAME=value"),
        ("LSLOOP_SECRET=hunter2\n\nLSLOOP_SECRET=hunter3", "LSLOOP_SECRET stands twice, in lines 1 and 3"),
        ("LS_PROJECT_TRANSCRIPT=hunter2",
        r"line 1: LS_PROJECT_TRANSCRIPT must be a whole number; a text was found"),
        ("GOLD_SAMPLE_RATIO=2", r"line 1: GOLD_SAMPLE_RATIO must be less than 1"),
        ("SKIP_GOLD_VALIDATION=perhaps", "SKIP_GOLD_VALIDATION must be true or false"),
        ("X=1\nLSLOOP_SECRET=\xe9hunter2".encode("latin-1"), "line 2 is not UTF-8"),
        ("LSLOOP_SECRET=hunter2".encode("utf-16"), "is in UTF-16"),
        (b"LSLOOP_SECRET=hunter2\0", "NUL"),
        ("set DATABASE_URL=postgresql://u:hunter2@h/d", "line 1 is not NAME=value"),
        ('$env:LSLOOP_SECRET = "hunter2"', "line 1 is not NAME=value"),
        ("- LABEL_STUDIO_API_KEY=hunter2", "line 1 is not NAME=value"),
        ('"DATABASE_URL": "postgresql://u:hunter2@h/d",', "line 1 is not NAME=value"),
    ],
)  # fmt: skip
def test_a_line_that_is_not_read_as_meant_is_refused_by_its_number(
    tmp_path: Path, text: str | bytes, told: str
) -> None:
    with pytest.raises(UsageError, match=told) as refused:
        env(tmp_path, text)
    assert str(tmp_path / ".env") in refused.value.problem
    assert "hunter" not in refused.value.problem + refused.value.fix
    assert refused.value.fix


@pytest.mark.parametrize("name", [".env", "params.yaml"])
def test_what_has_the_name_of_a_settings_file_and_is_none_is_refused(tmp_path: Path, name: str) -> None:
    """Else the embedded services, or the defaults, would be used, though somebody meant others."""
    path = tmp_path / name
    path.symlink_to(tmp_path / "not-mounted")
    with pytest.raises(UsageError, match=r"a link to .*not-mounted, which is not there"):
        config.load(tmp_path)
    path.unlink()
    path.mkdir()
    with pytest.raises(UsageError, match="is not a file"):
        config.load(tmp_path)
    path.rmdir()
    os.mkfifo(path)
    with pytest.raises(UsageError, match="is not a file"):
        config.load(tmp_path)


def test_a_stack_file_that_holds_no_settings_is_told(tmp_path: Path) -> None:
    (tmp_path / ".lsloop").mkdir()
    (tmp_path / ".lsloop" / "stack.json").write_text("[1]")
    with pytest.raises(UsageError, match="holds no settings"):
        config.load(tmp_path)


def test_what_belongs_to_other_programs_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (
        "POSTGRES_USER=x\nDATABASE_URL_TEST=x\nKEY='-----BEGIN\nDATABASE_URL: x\n-----END'\nsource"
        " other.env\n"
    )
    found = env(tmp_path, text + "LSLOOP_SECRET=s\nLABEL_STUDIO_API_KEY=a\nLABEL_STUDIO_API_KEY2=b\n")
    assert found.secret == "s"
    assert found.environment.database_url is None
    assert ["line 6" in one or "API_KEY2" in one for one in found.odd] == [True, True]
    (tmp_path / ".env").chmod(0o644)
    (tmp_path / "params.yaml").write_text("task_types: {}\n")
    main(["-C", str(tmp_path), "export", "--quiet"])
    assert f"chmod 600 {tmp_path / '.env'}" in capsys.readouterr().err


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "LSLOOP_SECRET=file\nMEDIA_URL=http://file\nLABEL_STUDIO_URL=http://file\n"
    monkeypatch.setenv("LSLOOP_SECRET", "environment")
    monkeypatch.setenv("AUDIO_SERVER_URL", "http://environment")
    monkeypatch.setenv("LABEL_STUDIO_URL", "")
    found = env(tmp_path, text)
    assert (found.secret, found.media_url, found.label_studio_url) == (
        "environment",
        "http://environment",
        "http://file",
    )
    monkeypatch.setenv("SYNC_INTERVAL_MINUTES", "soon")
    with pytest.raises(
        UsageError, match="SYNC_INTERVAL_MINUTES in the environment must be a number; a text was found"
    ):
        config.load(tmp_path)


@pytest.mark.parametrize(
    ("given", "webhook", "ml"),
    [
        ("http://h:8000", "http://h:8000/webhook", "http://h:8000/ml"),
        (" http://h/ ", "http://h/webhook", "http://h/ml"),
        ("https://h/lsloop", "https://h/lsloop/webhook", "https://h/lsloop/ml"),
        ("https://h/a/b/", "https://h/a/b/webhook", "https://h/a/b/ml"),
        ("https://h/lsloop/webhook", "https://h/lsloop/webhook", "https://h/lsloop/ml"),
        ("https://h/webhook/", "https://h/webhook", "https://h/ml"),
        ("https://h/x/v1/webhooks/label-studio", "https://h/x/v1/webhooks/label-studio", "https://h/x/ml"),
        ("https://h/lsloop?team=1", "https://h/lsloop/webhook?team=1", "https://h/lsloop/ml"),
        ("http://[::1]:8000/x", "http://[::1]:8000/x/webhook", "http://[::1]:8000/x/ml"),
        ("NONE", None, None),
    ],
)  # fmt: skip
def test_the_path_of_the_webhook_is_kept(
    tmp_path: Path, given: str, webhook: str | None, ml: str | None
) -> None:
    found = env(
        tmp_path,
        f"LSLOOP_WEBHOOK_URL='{given}'\nLABEL_STUDIO_URL=http://ls/\n"
        "AUDIO_SERVER_URL=https://h/media-of-us/\n",
    )
    assert (found.webhook_url, found.label_studio_url) == (webhook, "http://ls")
    assert found.media_url == "https://h/media-of-us"
    assert found.ml_url == (ml if webhook else found.ml_url)
    assert found.served_at == (ml and ml.removesuffix("/ml"))


@pytest.mark.parametrize("name", ["LABEL_STUDIO_URL", "AUDIO_SERVER_URL", "LSLOOP_WEBHOOK_URL"])
@pytest.mark.parametrize(
    "text",
    ["h:8000", "localhost", "ftp://h", "http://", "http://h:port", "http://h:99999", "http://[::1",
    "http://a b", "http://u:hunter2@h",
     "http://u:hunt/er2@h", "http://h/#x", "file:///x", "http:/h", "//h"],
)  # fmt: skip
def test_an_address_that_is_none_is_refused_by_the_name_of_its_setting(
    tmp_path: Path, name: str, text: str
) -> None:
    with pytest.raises(UsageError, match=f"^{name} ") as refused:
        env(tmp_path, f"{name}={text}\n")
    assert "hunt" not in refused.value.problem + refused.value.fix


DEEP = "\n".join(f"{' ' * n}a:" for n in range(400))
BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{after}: &{after} [{','.join(['*' + before] * 10)}]\n"
    for before, after in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "models:\n  transcript_correction: {base: models/base}\nmodels: {}\n",
            "the key models stands twice, in lines 1 and 3",
        ),
        ("push:\n  limit: 1\n  batch: 2\n  limit: 3\n", "the key limit stands twice, in lines 2 and 4"),
        ("push: {limit: 1, limit: 1}", "the key limit stands twice, in lines 1 and 1"),
        (
            "task_types:\n  a: {}\n  b:\n    conflicts: {text: open, text: open}\n",
            "the key text stands twice, in lines 4 and 4",
        ),
        (DEEP, "line 31: nested more than 30 levels deep"),
        ("[" * 5000, "nested more than 30"),
        (BOMB, "more than 10,000 values"),
        ("a: &a [*a]", "refers to itself|anchor"),
        ("push:\n  limit: \xe9".encode("latin-1"), "line 2 is not UTF-8"),
        ("push:\n\tlimit: 3\n", "line 2, column 1: YAML is indented with blanks, and a tab was found"),
        ("- a\n- b\n", "a list was found, where keys with values are due"),
        ("just words", "a text was found"),
        ("push: [1]", r"line 1: push must hold keys with values; a list was found"),
        ("push:\n  limit: many\n", r"line 2: push\.limit must be a whole number; a text was found"),
        ("push:\n  limit: 0\n", r"line 2: push\.limit must be 1 or more"),
        ("push:\n  limti: 4\n", r"push\.limti is not a setting of lsloop; limit"),
        ("push:\n  order: newest\n", r"line 2: push\.order must be one of uncertain"),
        ("gold: {ratio: 1}", r"gold\.ratio must be less than 1"),
        (
            "retrain:\n  milestones:\n    - 1\n    - x\n",
            r"line 4: retrain\.milestones\.1 must be a whole number",
        ),
        (
            "export:\n  validation: 0.5\n  test: 0.5\n",
            "line 1: export: validation and test together must be less than 1",
        ),
        (
            "task_types:\n  a:\n    title: [x]\n",
            r"line 3: task_types\.a\.title must be a text; a list was found",
        ),
        ("push: {limit: *x}", "line 1, column 15"),
        ("push: {limit: 1", "params.yaml, line"),
        ("? [a, b]\n: 1\n", "line 1: a key must be a text"),
        ("a: 1\n---\nb: 2\n", "params.yaml"),
        ("push: {limit: !!python/object:os.system x}", "params.yaml"),
        ("d: 2026-99-99\n", "params.yaml"),
        ("push: \x07", "line 1"),
        ("gold: {ratio: .nan}", r"gold\.ratio"),
        ("gold: {ratio: 1_0:99}", "gold"),
    ],
)
def test_params_that_do_not_fit_are_told_with_line_key_and_what_is_due(
    tmp_path: Path, text: str | bytes, told: str
) -> None:
    with pytest.raises(UsageError, match=told) as refused:
        params(tmp_path, text)
    assert refused.value.problem.startswith("params.yaml")
    for foreign in ("Input should", "pydantic", "Traceback", "Error", "https://"):
        assert foreign not in refused.value.problem


def test_what_is_shipped_fits_and_sections_may_be_empty(tmp_path: Path) -> None:
    shipped = resources.path("params.yaml").read_bytes()
    assert params(tmp_path, shipped) == params(tmp_path, b"\xef\xbb\xbf" + shipped)
    found = params(tmp_path, "push:\n  # limit: 3\ntask_types:\n  transcript_correction:\n")
    assert (found.push.limit, list(found.task_types)) == (500, ["transcript_correction"])
    assert params(tmp_path, "").task_types == {}
    merged = "task_types:\n  a: &a {overlap: 2}\n  b: {<<: *a, title: B}\n"
    assert params(tmp_path, merged).task_types["b"].overlap == 2


def test_a_template_is_named_when_it_is_no_text_or_no_xml(tmp_path: Path) -> None:
    folder = tmp_path / "label_studio_templates"
    folder.mkdir()
    for content, told in (
        ("<View>\n\xe9</View>".encode("latin-1"), r"mine\.xml, line 2 is not UTF-8"),
        (b"<View>\n<Text></View>", r"mine\.xml is not XML: mismatched tag, line 2"),
        (b"", r"mine\.xml is not XML: no element found"),
        ("<View/>".encode("utf-16"), r"mine\.xml, line 1 is not UTF-8"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><View/>', r"mine\.xml has a <!DOCTYPE>, which Label Studio refuses"),
    ):
        (folder / "mine.xml").write_bytes(content)
        with pytest.raises(UsageError, match=told):
            resources.template("mine", tmp_path)
    assert os.listdir(folder) == ["mine.xml"]


def test_a_template_that_is_a_link_to_nowhere_is_not_replaced_by_the_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "label_studio_templates").mkdir()
    (tmp_path / "label_studio_templates" / "transcript_correction.xml").symlink_to("gone.xml")
    with pytest.raises(UsageError, match="is a link to nowhere"):
        resources.template("transcript_correction", tmp_path)
