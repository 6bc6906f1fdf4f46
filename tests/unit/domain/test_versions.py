"""The upgrade policy, line by line, and the laws of the order under it."""

import pytest
import semver
from hypothesis import given
from hypothesis import strategies as st

from meshupgrade.api.v1alpha1.findings import FindingName, Severity
from meshupgrade.domain.versions import Verdict, is_prerelease_risk, judge, parse_version, path_findings

number = st.integers(0, 3).map(str)
core = st.tuples(number, number, number).map(".".join)
identifier = st.sampled_from(["alpha", "beta", "rc", "0", "1", "2", "11"])
prerelease = st.lists(identifier, min_size=1, max_size=3).map(lambda parts: "-" + ".".join(parts))
build = st.sampled_from(["", "+1", "+abc.7"])
without_build = st.builds("{}{}".format, core, st.one_of(st.just(""), prerelease))
version = st.builds("{}{}".format, without_build, build).map(parse_version)


@pytest.mark.parametrize(
    ("current", "target", "verdict"),
    [
        # The same version.
        ("1.2.3", "1.2.3", Verdict.SAME),
        ("0.4.1", "v0.4.1", Verdict.SAME),
        ("1.2.3+a", "1.2.3+b", Verdict.SAME),
        ("1.2.3-beta.1", "1.2.3-beta.1", Verdict.SAME),
        # From 1.0.0 on, a newer patch or minor.
        ("1.2.3", "1.2.4", Verdict.SUPPORTED),
        ("1.2.3", "1.2.30", Verdict.SUPPORTED),
        ("1.2.3", "1.3.0", Verdict.SUPPORTED),
        ("1.2.3", "1.9.0", Verdict.SUPPORTED),
        ("1.9.9", "1.10.0", Verdict.SUPPORTED),
        # From 1.0.0 on, another major.
        ("1.2.3", "2.0.0", Verdict.BREAKING),
        ("1.2.3", "3.1.0", Verdict.BREAKING),
        # Before 1.0.0, a newer patch.
        ("0.9.1", "0.9.2", Verdict.SUPPORTED),
        # Before 1.0.0, another minor, and the way to 1.0.0.
        ("0.9.1", "0.10.0", Verdict.BREAKING),
        ("0.9.1", "0.11.3", Verdict.BREAKING),
        ("0.11.1", "1.0.0", Verdict.BREAKING),
        ("0.11.1", "2.0.0", Verdict.BREAKING),
        # Lower.
        ("1.2.3", "1.2.2", Verdict.DOWNGRADE),
        ("1.2.3", "1.1.9", Verdict.DOWNGRADE),
        ("2.0.0", "1.9.9", Verdict.DOWNGRADE),
        ("1.0.0", "0.11.1", Verdict.DOWNGRADE),
        ("1.10.0", "1.9.0", Verdict.DOWNGRADE),
        ("1.2.3", "1.2.3-rc.1", Verdict.DOWNGRADE),
        ("1.2.3-rc.11", "1.2.3-rc.2", Verdict.DOWNGRADE),
        # Pre-releases come before their release.
        ("1.2.3-rc.1", "1.2.3", Verdict.SUPPORTED),
        ("1.2.3-rc.2", "1.2.3-rc.11", Verdict.SUPPORTED),
        ("1.2.3", "1.3.0-alpha.1", Verdict.SUPPORTED),
        ("2.0.0-rc.1", "2.0.0", Verdict.SUPPORTED),
        ("1.2.3", "2.0.0-rc.1", Verdict.BREAKING),
    ],
)
def test_policy(current: str, target: str, verdict: Verdict) -> None:
    assert judge(parse_version(current), parse_version(target)) is verdict


@pytest.mark.parametrize(
    ("current", "target", "risk"),
    [
        ("1.2.3", "1.2.4", False),
        ("1.2.3-rc.1", "1.2.3", False),
        ("1.2.3", "1.3.0-rc.1", True),
        ("1.2.3", "1.2.4-rc.1", True),
        ("1.2.3-rc.1", "1.2.3-rc.2", False),
        ("1.2.3-rc.1", "1.2.3-rc.1", False),
        ("1.2.3-alpha.1", "1.2.3-beta.1", False),
        ("1.2.3-rc.1", "1.2.4-rc.2", True),
        ("1.2.3-rc.1", "1.3.3-rc.2", True),
        ("1.2.3-rc.1", "2.2.3-rc.2", True),
        ("1.2.3-rc.2", "1.2.3-rc.1", True),
        ("1.2.3", "1.2.3-rc.1", True),
    ],
)
def test_a_pre_release_is_a_risk_unless_from_an_earlier_one_of_the_same_version(
    current: str, target: str, risk: bool
) -> None:
    assert is_prerelease_risk(parse_version(current), parse_version(target)) is risk


@pytest.mark.parametrize(
    ("current", "target", "found"),
    [
        ("1.2.3", "1.2.3", []),
        ("1.2.3", "1.3.0", []),
        ("1.2.3", "1.2.2", [(FindingName.DOWNGRADE, Severity.ERROR)]),
        ("1.2.3", "1.2.3-rc.1", [(FindingName.DOWNGRADE, Severity.ERROR)]),
        ("1.2.3", "2.0.0", [(FindingName.BREAKING_CHANGE, Severity.RISK)]),
        ("0.9.0", "0.10.0", [(FindingName.BREAKING_CHANGE, Severity.RISK)]),
        ("1.2.3", "1.3.0-rc.1", [(FindingName.PRERELEASE, Severity.RISK)]),
        (
            "1.2.3",
            "2.0.0-rc.1",
            [(FindingName.BREAKING_CHANGE, Severity.RISK), (FindingName.PRERELEASE, Severity.RISK)],
        ),
    ],
)
def test_findings_name_what_the_policy_has_against_a_step(
    current: str, target: str, found: list[tuple[FindingName, Severity]]
) -> None:
    findings = path_findings(parse_version(current), parse_version(target))
    assert [(finding.name, finding.severity) for finding in findings] == found
    for finding in findings:
        assert target in finding.message
        assert finding.phase == "Path"
        assert finding.remedy


@pytest.mark.parametrize(
    "text", ["", "v", "1", "1.2", "1.2.x", "~1.2", "vv1.2.3", "V1.2.3", "01.2.3", " 1.2.3", "latest"]
)
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_version(text)


@given(without_build)
def test_a_leading_v_is_dropped(text: str) -> None:
    assert str(parse_version(f"v{text}")) == text
    assert parse_version(f"v{text}") == parse_version(text)


@given(without_build, without_build, build, build)
def test_build_metadata_does_not_count(current: str, target: str, one: str, other: str) -> None:
    plain = judge(parse_version(current), parse_version(target))
    assert judge(parse_version(current + one), parse_version(target + other)) is plain


@given(version, version)
def test_a_step_is_downward_exactly_when_the_way_back_is_upward(one: semver.Version, other: semver.Version) -> None:
    there, back = judge(one, other), judge(other, one)
    if there is Verdict.SAME:
        assert back is Verdict.SAME
    else:
        assert (there is Verdict.DOWNGRADE) != (back is Verdict.DOWNGRADE)


@given(version, version)
def test_nothing_lower_is_ever_supported(current: semver.Version, target: semver.Version) -> None:
    key = (target.major, target.minor, target.patch)
    if key < (current.major, current.minor, current.patch):
        assert judge(current, target) is Verdict.DOWNGRADE
        assert [finding.severity for finding in path_findings(current, target)] == [Severity.ERROR]


@given(version, version, version)
def test_the_order_is_transitive(one: semver.Version, two: semver.Version, three: semver.Version) -> None:
    up = {Verdict.SUPPORTED, Verdict.BREAKING}
    if judge(one, two) in up and judge(two, three) in up:
        assert judge(one, three) in up


@given(version, version, version)
def test_a_way_of_supported_steps_is_supported_in_one(
    one: semver.Version, two: semver.Version, three: semver.Version
) -> None:
    if judge(one, two) is Verdict.SUPPORTED and judge(two, three) is Verdict.SUPPORTED:
        assert judge(one, three) is Verdict.SUPPORTED
