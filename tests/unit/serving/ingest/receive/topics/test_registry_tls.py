"""A schema registry behind an authority of one's own: its certificate is checked, ours is shown, and what is wrong is named."""

import asyncio
import ssl
from pathlib import Path

import pytest

from aiops.errors import ConfigurationError, Unavailable
from aiops.settings.ingest_settings import IngestSettings
from serving.ingest.receive.topics.registry_tls import RegistryTls
from serving.ingest.receive.topics.schema_registry import RegisteredSchema, SchemaRegistry
from tests.testing.own_authority import OwnAuthority
from tests.testing.registry_server import RegistryServer


@pytest.fixture
def authority(tmp_path: Path) -> OwnAuthority:
    return OwnAuthority(tmp_path)


def server_side(authority: OwnAuthority, clients: OwnAuthority | None = None) -> ssl.SSLContext:
    """Return the TLS of a server, which asks for a certificate of an authority where one is given."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.signs("registry"))
    if clients is not None:
        context.load_verify_locations(clients.ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def asked(registry: RegistryServer, tls: RegistryTls) -> RegisteredSchema:
    schema = registry.register("readings", "JSON", "{}")
    return asyncio.run(SchemaRegistry(registry.url, tls).schema(schema.schema_id))


def test_an_authority_of_ones_own_is_trusted_where_its_file_is_given(authority: OwnAuthority) -> None:
    with RegistryServer(password="secret", tls=server_side(authority)) as registry:
        assert asked(registry, RegistryTls(authority.ca_file)) == RegisteredSchema("JSON", "{}", {})


def test_without_the_file_the_certificate_is_refused_and_the_setting_named(authority: OwnAuthority, tmp_path: Path) -> None:
    with RegistryServer(password="secret", tls=server_side(authority)) as registry:
        for tls in (RegistryTls(), RegistryTls(OwnAuthority(tmp_path).ca_file)):
            with pytest.raises(Unavailable, match=r"certificate is not trusted .*AIOPS_INGEST__REGISTRY_CA_FILE") as raised:
                asked(registry, tls)
            assert "secret" not in str(raised.value)
        assert not registry.asked


@pytest.mark.parametrize("password", ["", "of the key"])
def test_a_registry_that_asks_for_a_certificate_is_shown_ours(authority: OwnAuthority, password: str) -> None:
    ours = authority.signs("receiver", password.encode())
    with RegistryServer(tls=server_side(authority, clients=authority)) as registry:
        assert asked(registry, RegistryTls(authority.ca_file, *ours, password)).kind == "JSON"
        with pytest.raises(Unavailable, match="no answer"):
            asked(registry, RegistryTls(authority.ca_file))


def test_settings_name_the_files(authority: OwnAuthority) -> None:
    ours = authority.signs("receiver", b"hidden")
    settings = IngestSettings.model_validate(
        {
            "registry_ca_file": str(authority.ca_file),
            "registry_cert_file": str(ours.cert_file),
            "registry_key_file": str(ours.key_file),
            "registry_key_password": "hidden",
        }
    )
    assert RegistryTls.of(settings) == RegistryTls(authority.ca_file, *ours, "hidden")
    assert "hidden" not in repr(settings)
    assert RegistryTls.of(IngestSettings()) == RegistryTls()


def test_files_that_cannot_be_used_are_named(authority: OwnAuthority, tmp_path: Path) -> None:
    ours, absent, garbage = authority.signs("receiver", b"hidden"), tmp_path / "absent.pem", tmp_path / "garbage.pem"
    garbage.write_text("no certificate")
    for tls, words in (
        (RegistryTls(absent), "registry_ca_file = .*absent.pem.*AIOPS_INGEST__REGISTRY_CA_FILE"),
        (RegistryTls(garbage), "registry_ca_file = .*garbage.pem"),
        (RegistryTls(authority.ca_file, absent), "registry_cert_file = .*absent.pem"),
        (RegistryTls(authority.ca_file, *ours, "wrong"), "registry_cert_file = .*REGISTRY_KEY_FILE, _KEY_PASSWORD"),
        (RegistryTls(authority.ca_file, *ours), "registry_cert_file = "),
        (RegistryTls(key_file=ours.key_file), "a key without its certificate"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            tls.context()
