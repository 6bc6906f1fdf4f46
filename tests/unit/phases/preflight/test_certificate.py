"""When the certificate of a mesh's authority is worth a warning, and whether an upgrade changed it."""

from datetime import UTC, datetime, timedelta

import pytest

from meshupgrade.api.v1alpha1.findings import FindingName, Severity
from meshupgrade.domain.certificates import Certificate
from meshupgrade.phases.authority import authority_secret, lost_authorities
from meshupgrade.phases.preflight.certificate import expiry_findings
from tests.unit.phases.works import make_release, make_work

NOW = datetime(2030, 1, 1, tzinfo=UTC)
PLACE = "Secret osm-system/osm-ca-bundle"


def until(days: float, name: str = "a") -> Certificate:
    return Certificate(name, NOW + timedelta(days=days))


@pytest.mark.parametrize(
    ("days", "told"),
    [
        ([], None),
        ([31], None),
        ([29.5], "expires on 2030-01-30, in 29 days"),
        ([0.5], "expires on 2030-01-01, in 0 days"),
        ([0], "expired on 2030-01-01"),
        ([-400], "expired on 2028-11-27"),
        ([400, 2], "expires on 2030-01-03"),
    ],
)
def test_when_it_warns(days: list[float], told: str | None) -> None:
    found = expiry_findings(PLACE, [until(count) for count in days], NOW)
    assert len(found) == (told is not None)
    if told:
        assert (found[0].name, found[0].severity) == (FindingName.CERTIFICATE_EXPIRING, Severity.WARNING)
        assert told in found[0].message
        assert PLACE in found[0].message


@pytest.mark.parametrize(
    ("before", "now", "lost"),
    [
        ([], ["a"], []),
        (["a"], ["a"], []),
        (["a"], ["b", "a"], []),
        (["a"], ["b"], ["a"]),
        (["b", "a"], [], ["a", "b"]),
    ],
)
def test_what_is_not_trusted_any_more(before: list[str], now: list[str], lost: list[str]) -> None:
    assert lost_authorities(before, [until(100, name) for name in now]) == lost


def test_a_value_may_name_another_secret() -> None:
    assert authority_secret(make_work()).name == "osm-ca-bundle"
    named = make_work(live=make_release(config={"osm": {"caBundleSecretName": "mine"}}))
    assert authority_secret(named).name == "mine"
