"""How kopf is set up: it watches with our access, and writes nothing."""

from kubernetes.aio.client import Configuration

from meshupgrade.handlers import _connection, _settings


def configuration() -> Configuration:
    made = Configuration()
    made.host = "https://api.example:6443"
    made.ssl_ca_cert = "/ca.crt"
    return made


def test_kopf_writes_and_looks_for_nothing_of_its_own() -> None:
    settings = _settings()
    assert not settings.posting.enabled
    assert settings.peering.standalone
    assert settings.scanning.disabled


def test_no_call_of_kopf_waits_for_ever() -> None:
    settings = _settings()
    assert settings.watching.connect_timeout
    assert settings.watching.server_timeout
    assert settings.networking.request_timeout


async def test_a_token_is_handed_over_with_its_scheme() -> None:
    made = configuration()
    made.api_key = {"BearerToken": "Bearer abc.def"}
    connection = await _connection(made)
    assert (connection.scheme, connection.token) == ("Bearer", "abc.def")
    assert (connection.server, connection.ca_path) == ("https://api.example:6443", "/ca.crt")
    assert connection.insecure is False


async def test_a_client_certificate_is_handed_over() -> None:
    made = configuration()
    made.cert_file, made.key_file = "/tls.crt", "/tls.key"
    connection = await _connection(made)
    assert (connection.certificate_path, connection.private_key_path) == ("/tls.crt", "/tls.key")
    assert (connection.scheme, connection.token) == (None, None)


async def test_verification_is_off_only_when_the_kubeconfig_says_so() -> None:
    made = configuration()
    made.verify_ssl = False
    assert (await _connection(made)).insecure is True
