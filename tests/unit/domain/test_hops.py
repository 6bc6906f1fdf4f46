"""What the policy lets a mesh go to, what a range comes to, and the way there."""

from itertools import pairwise

import pytest
import semver
from hypothesis import given
from hypothesis import strategies as st

from meshupgrade.api.v1alpha1.findings import FindingName, Severity
from meshupgrade.domain.hops import candidates, hop_findings, plan_hops, resolve
from meshupgrade.domain.ranges import Range, parse_range
from meshupgrade.domain.versions import Verdict, is_prerelease_risk, judge, parse_version

BREAKING, PRERELEASE = FindingName.BREAKING_CHANGE, FindingName.PRERELEASE
NONE: frozenset[FindingName] = frozenset()

#: What the meshes' repositories list, in miniature: gaps in minors, many patches, pre-releases of what came and comes.
LISTED = """
    2.1.0 2.0.1 2.0.0 2.0.0-rc.1 1.4.0-rc.2 1.4.0-rc.1 1.3.9 1.3.10 1.3.0 1.2.4 1.2.3 1.2.3-rc.2 1.2.3-rc.1
    1.1.1 1.1.0 1.0.0 0.11.1 0.11.0 0.9.2 0.9.1 0.8.4
"""


def parsed(text: str) -> list[semver.Version]:
    return [parse_version(word) for word in text.split()]


def current_of(text: str) -> semver.Version | None:
    return parse_version(text) if text else None


@pytest.mark.parametrize(
    ("current", "wanted", "accepted", "target"),
    [
        # The newest of the range.
        ("1.2.3", "~1.2", NONE, "1.2.4"),
        ("1.2.3", "^1.2", NONE, "1.3.10"),
        ("1.2.3", "1.x", NONE, "1.3.10"),
        ("1.1.0", ">=1.2 <1.3", NONE, "1.2.4"),
        ("1.2.3", "1.0 - 1.2", NONE, "1.2.4"),
        ("1.2.3", "~1.2 !=1.2.4", NONE, "1.2.3"),
        ("0.9.1", "~0.9", NONE, "0.9.2"),
        # Over no breaking change, unless it is accepted.
        ("1.2.3", "*", NONE, "1.3.10"),
        ("1.2.3", ">=1.2", frozenset({BREAKING}), "2.1.0"),
        ("1.2.3", "^2", NONE, None),
        ("1.2.3", "^2", frozenset({PRERELEASE}), None),
        ("1.2.3", "^2", frozenset({BREAKING}), "2.1.0"),
        ("0.9.1", "0.x", NONE, "0.9.2"),
        ("0.9.1", "0.x", frozenset({BREAKING}), "0.11.1"),
        ("0.11.1", ">=0.11", NONE, "0.11.1"),
        # To no pre-release, unless the range names one and it is accepted.
        ("1.3.10", "1.x", frozenset({PRERELEASE}), "1.3.10"),
        ("1.3.10", "1.x-0", NONE, "1.3.10"),
        ("1.3.10", "1.x-0", frozenset({PRERELEASE}), "1.4.0-rc.2"),
        ("1.3.10", "~2.0.0-0", frozenset({PRERELEASE, BREAKING}), "2.0.1"),
        ("1.3.10", ">=2.0.0-0 <2.0.0", frozenset({PRERELEASE, BREAKING}), "2.0.0-rc.1"),
        ("1.3.10", ">=2.0.0-0 <2.0.0", frozenset({BREAKING}), None),
        ("1.3.10", ">=2.0.0-0 <2.0.0", frozenset({PRERELEASE}), None),
        # From a pre-release on to the next one of the same version, which is no risk, and to its release.
        ("1.4.0-rc.1", "~1.4.0-0", NONE, "1.4.0-rc.2"),
        ("1.2.3-rc.1", "~1.2", NONE, "1.2.4"),
        ("1.2.3-rc.1", "1.2.3", NONE, "1.2.3"),
        # Never down.
        ("1.3.9", "~1.2", NONE, None),
        ("1.4.0", "1.x", NONE, "1.4.0"),
        ("1.4.0", "~1.3", frozenset({BREAKING, PRERELEASE}), None),
        ("1.4.0-rc.1", "1.x", NONE, None),
        ("1.4.0-rc.1", "<1.4", NONE, None),
        ("3.0.0", "*", NONE, "3.0.0"),
        # The one that runs, whatever is in the way of newer ones.
        ("1.3.10", "*", NONE, "1.3.10"),
        ("1.3.10", ">=1.3.10", NONE, "1.3.10"),
        # A mesh that is not there yet has nothing to break.
        ("", "*", NONE, "2.1.0"),
        ("", "~1.2", NONE, "1.2.4"),
        ("", "~1.4.0-0", NONE, None),
        ("", "~1.4.0-0", frozenset({PRERELEASE}), "1.4.0-rc.2"),
        # Exact is a person's choice; what is against it, the path says by name.
        ("1.2.3", "v1.2.4", NONE, "1.2.4"),
        ("1.2.3", "=2.0.0-rc.1", NONE, "2.0.0-rc.1"),
        ("1.2.3", "1.1.0", NONE, "1.1.0"),
        ("1.2.3", "1.2.3", NONE, "1.2.3"),
        ("", "1.4.0-rc.1", NONE, "1.4.0-rc.1"),
        ("1.2.3", "1.2.9", NONE, None),
        # Nothing there.
        ("1.2.3", "~7.0", frozenset({BREAKING}), None),
    ],
)
def test_what_a_version_or_range_comes_to(
    current: str, wanted: str, accepted: frozenset[FindingName], target: str | None
) -> None:
    found = resolve(current_of(current), parse_range(wanted), parsed(LISTED), accepted)
    assert (str(found) if found else None) == target


@pytest.mark.parametrize(
    ("wanted", "target"),
    [("1.2.3", "1.2.3+a"), ("1.2.3+b", "1.2.3+b"), ("1.2.3+c", "1.2.3+a"), ("~1.2", "1.2.3+b"), ("<=1.2.3", "1.2.3+b")],
)
def test_of_two_builds_the_one_that_is_named_or_runs_or_comes_first_counts(wanted: str, target: str) -> None:
    listed = parsed("1.2.3+a 1.2.3+b")
    assert str(resolve(parse_version("1.2.3+b"), parse_range(wanted), listed, NONE)) == target
    assert str(resolve(parse_version("1.2.2"), parse_range("~1.2"), listed, NONE)) == "1.2.3+a"


@pytest.mark.parametrize(
    ("current", "wanted", "accepted", "told"),
    [
        (
            "1.2.3",
            ">=1.2 <2.1",
            NONE,
            [
                ("2.1.0", False, "OutOfRange", "not in >=1.2 <2.1"),
                ("2.0.0", False, "BreakingChange", "BreakingChange is not in spec.upgrade.acceptRisks"),
                ("2.0.0-rc.1", False, "OutOfRange", "takes no pre-release unless it names one"),
                ("1.3.10", True, "Allowed", "supported"),
                ("1.2.4", True, "Allowed", "supported"),
                ("1.2.3", True, "Current", "the mesh runs it"),
                ("1.2.3-rc.1", False, "Downgrade", "lower than 1.2.3, which runs"),
                ("0.9.2", False, "Downgrade", "lower than 1.2.3, which runs"),
            ],
        ),
        (
            "1.2.3",
            ">=1.3-0",
            frozenset({BREAKING}),
            [
                ("2.1.0", True, "Allowed", "BreakingChange accepted"),
                ("2.0.0-rc.1", False, "Prerelease", "Prerelease is not in spec.upgrade.acceptRisks"),
                ("1.4.0-rc.1", False, "Prerelease", "it is a pre-release"),
                ("1.2.4", False, "OutOfRange", "not in >=1.3-0"),
                ("1.2.3", False, "Current", "the mesh runs it, and it is not in >=1.3-0"),
            ],
        ),
        (
            "1.2.3",
            ">=1.3-0",
            frozenset({BREAKING, PRERELEASE}),
            [("2.0.0-rc.1", True, "Allowed", "BreakingChange and Prerelease accepted")],
        ),
        # An exact version bounds nothing: one sees where one could go.
        (
            "1.2.3",
            "1.2.3",
            NONE,
            [
                ("2.1.0", False, "BreakingChange", "coming from 1.2.3, it may break users"),
                ("1.4.0-rc.1", False, "Prerelease", "it is a pre-release"),
                ("1.3.10", True, "Allowed", "supported"),
                ("1.2.3", True, "Current", "the mesh runs it"),
                ("1.1.1", False, "Downgrade", "lower than 1.2.3"),
            ],
        ),
        ("1.2.3", "2.0.0", NONE, [("2.0.0", False, "BreakingChange", "may break users")]),
        ("", "^2", NONE, [("2.1.0", True, "Allowed", "supported"), ("0.8.4", False, "OutOfRange", "not in ^2")]),
    ],
)
def test_each_version_is_judged_with_the_reason(
    current: str, wanted: str, accepted: frozenset[FindingName], told: list[tuple[str, bool, str, str]]
) -> None:
    judged = candidates(current_of(current), parse_range(wanted), parsed(LISTED), accepted)
    assert [one.version for one in judged] == sorted(parsed(LISTED), reverse=True)
    by_version = {str(one.version): one for one in judged}
    for version, allowed, reason, message in told:
        one = by_version[version]
        assert (version, one.allowed, str(one.reason)) == (version, allowed, reason)
        assert message in one.message


@pytest.mark.parametrize(
    ("current", "target", "hops"),
    [
        ("1.2.3", "1.2.4", "1.2.4"),
        ("1.1.0", "1.2.3", "1.2.3"),
        ("1.0.0", "1.2.3", "1.1.1 1.2.3"),
        ("1.0.0", "1.3.9", "1.1.1 1.2.4 1.3.9"),
        ("1.1.0", "1.4.0-rc.2", "1.2.4 1.3.10 1.4.0-rc.2"),
        # Minors that have no release but pre-releases are no place to stop at.
        ("1.2.3", "2.0.0", "1.3.10 2.0.0"),
        ("1.2.3", "2.0.0-rc.1", "1.3.10 2.0.0-rc.1"),
        # Over majors, by the minors of both.
        ("1.2.3", "2.1.0", "1.3.10 2.0.1 2.1.0"),
        ("0.8.4", "1.1.0", "0.9.2 0.11.1 1.0.0 1.1.0"),
        ("0.8.4", "0.11.0", "0.9.2 0.11.0"),
        # From a version that is not listed any more.
        ("1.0.7", "1.2.3", "1.1.1 1.2.3"),
        # From a pre-release.
        ("1.2.3-rc.1", "1.2.3", "1.2.3"),
        # One hop whatever is between: an install, the version that runs, a lower one.
        ("", "1.3.9", "1.3.9"),
        ("1.2.3", "1.2.3", "1.2.3"),
        ("2.1.0", "0.9.1", "0.9.1"),
    ],
)
def test_stepwise_stops_at_the_newest_patch_of_each_minor(current: str, target: str, hops: str) -> None:
    found = plan_hops(current_of(current), parse_version(target), parsed(LISTED), stepwise=True)
    assert found == parsed(hops)
    assert plan_hops(current_of(current), parse_version(target), parsed(LISTED), stepwise=False) == [found[-1]]


def test_the_target_is_given_as_it_is_listed() -> None:
    listed = parsed("1.3.0+b 1.2.9+b 1.2.9+a 1.2.8")
    hops = plan_hops(parse_version("1.1.0"), parse_version("1.3.0"), listed, stepwise=True)
    assert [str(hop) for hop in hops] == ["1.2.9+b", "1.3.0+b"]


@pytest.mark.parametrize(
    ("current", "hops", "told"),
    [
        ("1.2.3", "1.3.10", []),
        ("1.2.3", "1.3.10 2.0.1 2.1.0", [(BREAKING, "1.3.10 → 2.0.1")]),
        ("0.8.4", "0.9.2 0.11.1 1.0.0", [(BREAKING, "0.8.4 → 0.9.2"), (BREAKING, "0.9.2 → 0.11.1"),
                                         (BREAKING, "0.11.1 → 1.0.0")]),
        ("1.2.3", "1.3.10 2.0.0-rc.1", [(BREAKING, "1.3.10 → 2.0.0-rc.1"), (PRERELEASE, "2.0.0-rc.1")]),
        ("1.2.3", "1.2.3", []),
        ("1.2.3", "1.2.2", [(FindingName.DOWNGRADE, "1.2.2")]),
        ("", "1.4.0-rc.1", [(PRERELEASE, "1.4.0-rc.1")]),
        ("", "2.1.0", []),
    ],
)  # fmt: skip
def test_what_is_against_a_hop_names_it(current: str, hops: str, told: list[tuple[FindingName, str]]) -> None:
    found = hop_findings(current_of(current), parsed(hops))
    assert [finding.name for finding in found] == [name for name, _ in told]
    for finding, (_, message) in zip(found, told, strict=True):
        assert message in finding.message


number = st.integers(0, 3)
suffix = st.sampled_from(["", "", "", "-rc.1", "-rc.2", "+b"])
version = st.builds("{}.{}.{}{}".format, number, number, number, suffix).map(parse_version)
listings = st.lists(version, max_size=30)
risks = st.frozensets(st.sampled_from([BREAKING, PRERELEASE]))
wanted = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "=", "~", "^", ">=", "<=", ">", "<", "!="]),
    st.one_of(version.map(str), st.builds("{}.{}".format, number, number), number.map(str), st.just("*")),
    st.sampled_from(["", "", " >=0.0.0-0", " || ~1"]),
).map(parse_range)


@given(st.none() | version, wanted, listings, risks)
def test_a_range_never_resolves_downward_or_over_what_is_not_accepted(
    current: semver.Version | None, wanted: Range, listed: list[semver.Version], accepted: frozenset[FindingName]
) -> None:
    target = resolve(current, wanted, listed, accepted)
    if target is None:
        return
    if wanted.exact is not None:
        assert target == wanted.exact
        assert target in listed
        return
    assert wanted.allows(target)
    if current is None or target != current:
        assert target in listed
    if current is not None:
        assert target >= current
        assert BREAKING in accepted or judge(current, target) is not Verdict.BREAKING
    if target != current:
        assert PRERELEASE in accepted or not is_prerelease_risk(current, target)
    for passed in listed:
        if passed > target and wanted.allows(passed):
            found = hop_findings(current, [passed])
            assert any(finding.blocks(accepted) for finding in found)


@given(st.none() | version, wanted, listings, risks)
def test_no_target_means_that_nothing_may_be_taken(
    current: semver.Version | None, wanted: Range, listed: list[semver.Version], accepted: frozenset[FindingName]
) -> None:
    if resolve(current, wanted, listed, accepted) is not None:
        return
    if wanted.exact is not None:
        assert wanted.exact not in listed
        return
    assert current is None or not wanted.allows(current)
    for one in listed:
        if wanted.allows(one):
            assert any(finding.blocks(accepted) for finding in hop_findings(current, [one]))


@given(st.none() | version, wanted, listings, listings, risks)
def test_more_in_the_list_never_lowers_the_target(
    current: semver.Version | None,
    wanted: Range,
    listed: list[semver.Version],
    more: list[semver.Version],
    accepted: frozenset[FindingName],
) -> None:
    before = resolve(current, wanted, listed, accepted)
    after = resolve(current, wanted, [*listed, *more], accepted)
    assert before is None or (after is not None and after >= before)
    # Nor does what else is accepted.
    further = resolve(current, wanted, listed, frozenset({BREAKING, PRERELEASE}))
    assert before is None or (further is not None and further >= before)


@given(st.none() | version, wanted, listings, risks)
def test_candidates_are_all_that_is_listed_and_hold_the_target(
    current: semver.Version | None, wanted: Range, listed: list[semver.Version], accepted: frozenset[FindingName]
) -> None:
    judged = candidates(current, wanted, listed, accepted)
    assert sorted(str(one.version) for one in judged) == sorted(map(str, listed))
    assert all(newer.version >= older.version for newer, older in pairwise(judged))
    assert all(one.message for one in judged)
    target = resolve(current, wanted, listed, accepted)
    allowed = [one.version for one in judged if one.allowed]
    if wanted.exact is None and allowed:
        assert target == allowed[0]
    for one in judged:
        blocked = any(finding.blocks(accepted) for finding in hop_findings(current, [one.version]))
        assert one.allowed == (not blocked and (wanted.exact is not None or wanted.allows(one.version)))


@given(st.none() | version, version, listings)
def test_hops_rise_to_the_target_by_the_newest_patches(
    current: semver.Version | None, target: semver.Version, listed: list[semver.Version]
) -> None:
    hops = plan_hops(current, target, listed, stepwise=True)
    assert hops[-1] == target
    assert plan_hops(current, target, listed, stepwise=False) == [target]
    if current is None or target <= current:
        assert hops == [target]
        return
    assert all(after > before for before, after in pairwise([current, *hops]))
    for hop in hops[:-1]:
        assert hop in listed
        assert hop.prerelease is None
        same_minor = [one for one in listed if (one.major, one.minor) == (hop.major, hop.minor)]
        assert all(one <= hop for one in same_minor if one.prerelease is None)
    # No minor with a release in between is passed over.
    stops = {(hop.major, hop.minor) for hop in [current, *hops]}
    for one in listed:
        if one.prerelease is None and current < one < target:
            assert (one.major, one.minor) in stops


@given(version, version, listings, st.booleans())
def test_a_way_breaks_exactly_when_the_step_as_a_whole_does(
    current: semver.Version, target: semver.Version, listed: list[semver.Version], stepwise: bool
) -> None:
    hops = plan_hops(current, target, listed, stepwise=stepwise)
    names = {finding.name for finding in hop_findings(current, hops)}
    assert names == {finding.name for finding in hop_findings(current, [target])}
    assert all(finding.severity is not Severity.ERROR for finding in hop_findings(current, hops)) == (target >= current)
