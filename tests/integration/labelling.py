"""A small audio project in Label Studio, for the tests of the adapter."""

import uuid
from typing import Any

from lsloop.labelstudio import projects, tasks
from lsloop.labelstudio.client import LabelStudio

CONFIG = """
<View>
  <Audio name="audio" value="$audio"/>
  <TextArea name="transcript" toName="audio" value="$transcript"/>
</View>
"""


def result(text: str) -> list[dict[str, Any]]:
    return [
        {
            "id": "t1",
            "from_name": "transcript",
            "to_name": "audio",
            "type": "textarea",
            "value": {"text": [text]},
        }
    ]


def project(studio: LabelStudio, title: str = "adapter test") -> int:
    return int(projects.create(studio, title, CONFIG)["id"])


def batch(size: int, prefix: str = "") -> list[dict[str, Any]]:
    return [task(prefix + str(uuid.uuid4())) for _ in range(size)]


def task(key: str) -> dict[str, Any]:
    return {
        "data": {"audio": f"https://media.invalid/{key}.wav", "transcript": "xin chào", tasks.KEY: key},
        "predictions": [{"model_version": "v1", "score": 0.5, "result": result("xin chào")}],
    }


def keys(sent: list[dict[str, Any]]) -> list[str]:
    return [str(one["data"][tasks.KEY]) for one in sent]
