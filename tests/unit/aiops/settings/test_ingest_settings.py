"""Limits of single tenants, as the settings of receivers hold them."""

import pytest
from pydantic import ValidationError

from aiops.settings.ingest_settings import IngestSettings


def test_limits_of_a_tenant_are_read() -> None:
    assert IngestSettings(limits='{"acme": {"max_series": 5}}').limits == '{"acme": {"max_series": 5}}'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ("[]", "no JSON object of tenants"),
        ('{"acme": 5}', "no JSON object of tenants"),
        ('{"acme": {"series": 5}}', "acme.series: no limit of a tenant; they are max_body_bytes"),
        ('{"acme": {"max_series": 0}}', "acme.max_series = 0: must be an integer of 1 or more"),
        ('{"acme": {"max_series": true}}', "acme.max_series = True"),
    ],
)
def test_what_is_no_limit_is_refused_by_name(text: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words.replace("[", r"\[")):
        IngestSettings(limits=text)


def test_what_is_masked_is_read() -> None:
    settings = IngestSettings(mask="email; ip", mask_patterns='{"employee": "E[0-9]{6}"}')
    assert [rule.name for rule in settings.masks.rules] == ["email", "ip", "employee"]
    assert IngestSettings(mask="").masks.rules == ()
    assert "authorization" in {rule.name for rule in IngestSettings().masks.rules}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"mask": "emails"}, "'emails' is no group of rules; they are secrets, email, card, iban, ip"),
        ({"mask_patterns": "{"}, "mask_patterns is not JSON"),
        ({"mask_patterns": '{"own": 5}'}, "mask_patterns is no JSON object of patterns by name"),
        ({"mask_patterns": '{"own": "("}'}, "own: .* is no regular expression of RE2"),
    ],
)
def test_what_is_no_mask_is_refused_by_name(given: dict[str, str], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        IngestSettings(**given)  # type: ignore[arg-type]
