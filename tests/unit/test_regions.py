import pytest

from lsloop.values import regions
from lsloop.values.regions import Control
from lsloop.values.text import clean

CONFIG = """
<View>
  <Style>.a { color: red }</Style>
  <Audio name="audio" value="$audio"/>
  <Text name="said" value="Heard: $text, for $5"/>
  <Header value="$title"/>
  <TextArea name="words" toName="audio" placeholder="costs $5"/>
  <Choices name="flags" toName="audio,said">
    <View><Choice value="Very noisy" alias="noisy"/></View>
    <Choice value="music"/>
    <Choice/>
  </Choices>
</View>
"""


def test_controls_are_read_with_their_object_and_the_values_that_answers_hold() -> None:
    assert regions.controls(CONFIG) == {
        "words": Control("textarea", "audio"),
        "flags": Control("choices", "audio", ("noisy", "music")),
    }


def test_the_data_that_label_studio_asks_every_task_for() -> None:
    assert regions.variables(CONFIG) == {"audio", "text"}


@pytest.mark.parametrize("broken", ["", "<View>", "<a></b>", "no xml", "\x00"])
def test_what_is_not_xml_is_named(broken: str) -> None:
    with pytest.raises(ValueError, match="the label config is not well-formed XML"):
        regions.controls(broken)
    assert regions.misfits(broken, {})[0].startswith("the label config is not well-formed XML")


@pytest.mark.parametrize(
    ("need", "problem"),
    [
        ({"words": Control("textarea"), "flags": Control("choices", values=("music",))}, []),
        ({"text": Control("textarea")}, ["it has no textarea called 'text'"]),
        ({"words": Control("choices")}, ["'words' is a textarea, not a choices"]),
        ({"flags": Control("choices", values=("noisy", "clear", "loud"))}, ["'flags' has lost clear, loud"]),
    ],
)
def test_what_a_label_config_lacks_is_named(need: dict[str, Control], problem: list[str]) -> None:
    assert regions.misfits(CONFIG, need) == problem


def test_an_entity_bomb_is_refused() -> None:
    nested = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    bomb = f'<!DOCTYPE x [<!ENTITY e0 "ha">{nested}]><View>&e11;</View>'
    with pytest.raises(ValueError, match="not well-formed"):
        regions.controls(bomb)


@pytest.mark.parametrize(
    ("text", "expected"),
    [(None, ""), ("  a\r\nb\rc \n", "a\nb\nc"), ("ho\u0323c", "h\u1ecdc"), ("học 🎧", "học 🎧")],
)
def test_clean_text_has_one_form(text: str | None, expected: str) -> None:
    assert clean(text) == clean(clean(text)) == expected


def test_what_is_not_text_is_not_cleaned() -> None:
    with pytest.raises(ValueError, match="Expected text, got list"):
        clean(["a"])
