"""Messages of topics that nothing can be read of: kept byte for byte but for what is masked in them."""

import base64
import json
from datetime import UTC, datetime

import pytest

from data_contracts.values.masking import Masks
from serving.ingest.receive.topics.topic_letters import TopicLetters
from serving.ingest.receive.topics.topic_messages import TopicMessage

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_an_unreadable_message_is_kept_without_its_secrets() -> None:
    message = TopicMessage(0, 7, b"\xff\x00 password=hunter2 \xfe", {})
    letters = TopicLetters("logs").unreadable(message, ValueError("token=hunter2 is none"), NOW, Masks.of(["secrets"], {}))
    row = letters.to_pylist()[0]
    kept = base64.b64decode(json.loads(row["row"])["payload_base64"])
    assert kept == b"\xff\x00 password=[masked:named_secret] \xfe"
    assert "token=[masked:named_secret] is none" in row["detail"]


def test_without_masks_it_is_kept_byte_for_byte() -> None:
    content = bytes(range(256))
    row = TopicLetters("logs").unreadable(TopicMessage(0, 7, content, {}), ValueError("none"), NOW).to_pylist()[0]
    assert base64.b64decode(json.loads(row["row"])["payload_base64"]) == content


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        ('{"a":"é","pwd":"hunter2"}'.encode(), '{"a":"é","pwd":"[masked:secret_name]"}'.encode()),
        (b'{"a":"\xff \\u4e2d","pwd":"hunter2"}', b'{"a":"\xff \\u4e2d","pwd":"[masked:secret_name]"}'),
        (b'{"a":"\\ud800","pwd":"hunter2"}', b'{"a":"\\ud800","pwd":"[masked:quoted_secret]"}'),
    ],
)
def test_characters_beside_a_secret_stay(content: bytes, kept: bytes) -> None:
    letters = TopicLetters("logs").unreadable(TopicMessage(0, 7, content, {}), ValueError("none"), NOW, Masks.of(["secrets"], {}))
    assert base64.b64decode(json.loads(letters.to_pylist()[0]["row"])["payload_base64"]) == kept
