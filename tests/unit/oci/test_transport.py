"""What is said of a request that failed."""

import errno
import os
import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from hypothesis import given
from hypothesis import strategies as st

from meshupgrade.oci.transport import is_tls_failure, is_transient_status, reason, snippet, speaks_plain_http

KEY = ConnectionKey("host.example", 443, True, True, None, None, None)


def caused(error: aiohttp.ClientError, cause: ssl.SSLError, why: str) -> aiohttp.ClientError:
    cause.reason = why
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "expected", "tls"),
    [
        (TimeoutError(), "no answer in time", False),
        (aiohttp.ServerTimeoutError("x"), "no answer in time", False),
        (aiohttp.ConnectionTimeoutError("x"), "no answer in time", False),
        (
            aiohttp.ClientConnectorError(KEY, OSError(errno.ECONNREFUSED, "Connect call failed")),
            os.strerror(errno.ECONNREFUSED),
            False,
        ),
        (aiohttp.ClientConnectorError(KEY, OSError("several failed")), "several failed", False),
        (aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "x")), "its name does not resolve", False),
        (aiohttp.ClientConnectorCertificateError(KEY, ssl.CertificateError()), "its certificate is not trusted", True),
        (aiohttp.ClientConnectorSSLError(KEY, OSError(1, "x")), "TLS fails", True),
        (
            caused(aiohttp.ClientConnectorSSLError(KEY, OSError(1, "x")), ssl.SSLError(), "WRONG_VERSION_NUMBER"),
            "it speaks plain http",
            True,
        ),
        (
            caused(aiohttp.ClientOSError(1, "x"), ssl.SSLError(), "TLSV13_ALERT_CERTIFICATE_REQUIRED"),
            "TLS fails (TLSV13_ALERT_CERTIFICATE_REQUIRED)",
            True,
        ),
        (
            caused(aiohttp.ClientOSError(1, "x"), ssl.SSLEOFError(), "UNEXPECTED_EOF_WHILE_READING"),
            "the connection broke off",
            False,
        ),
        (aiohttp.ClientConnectorError(KEY, ConnectionResetError()), "the connection broke off", False),
        (aiohttp.ServerDisconnectedError(), "the connection broke off", False),
        (aiohttp.ClientPayloadError("https://x/?signature=1"), "the connection broke off", False),
        (aiohttp.ClientOSError(errno.ECONNRESET, "x"), "the connection broke off", False),
        (aiohttp.InvalidURL("https://x/?signature=1"), "its URL is not valid", False),
        (aiohttp.ClientError("https://x/?signature=1"), "no HTTP answer that can be read (ClientError)", False),
    ],
)
def test_reasons(error: aiohttp.ClientError | TimeoutError, expected: str, tls: bool) -> None:
    assert reason(error).startswith(expected)
    assert "signature" not in reason(error)
    assert is_tls_failure(error) is tls
    assert speaks_plain_http(error) is ("plain http" in expected)


@pytest.mark.parametrize(
    ("status", "expected"), [(200, False), (400, False), (401, False), (404, False), (408, True), (429, True)]
)
def test_transient_status(status: int, expected: bool) -> None:
    assert is_transient_status(status) is expected
    assert is_transient_status(500 + status % 100)


@given(st.text(max_size=500), st.integers(1, 100))
def test_a_snippet_is_one_bounded_line(text: str, limit: int) -> None:
    shown = snippet(text, limit)
    assert len(shown) <= limit + 1
    assert shown.isprintable()
    assert shown == shown.strip()


@pytest.mark.parametrize(
    ("text", "expected"), [("", ""), ("<!DOCTYPE html>\n<html>", "<!DOCTYPE html> <html>"), ("a\x1b[2Jb", "a [2Jb")]
)
def test_snippets(text: str, expected: str) -> None:
    assert snippet(text) == expected
