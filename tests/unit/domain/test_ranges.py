"""Ranges of versions: what is taken, what is in them, and what is said of the rest."""

import re

import pytest
import semver
from hypothesis import example, given
from hypothesis import strategies as st

from meshupgrade.api.v1alpha1.version_pattern import MAX_VERSION
from meshupgrade.domain.ranges import EXAMPLES, VERSION_OR_RANGE_PATTERN, parse_range
from meshupgrade.domain.versions import parse_version

# The grammar once more, in words of its own: what people write, in the wild forms that Helm and Flux take.
number = st.integers(0, 12).map(str)
prerelease = st.sampled_from(["", "", "-0", "-beta", "-rc.1", "-alpha.11", "-x-y", "-0a"])
full = st.builds(
    "{}{}.{}.{}{}{}".format,
    st.sampled_from(["", "v"]),
    number,
    number,
    number,
    prerelease,
    st.sampled_from(["", "+b.7"]),
)
wildcard = st.sampled_from(["x", "X", "*"])
short = st.one_of(
    wildcard, number, st.builds("{}.{}".format, number, number), st.builds("{}.{}".format, number, wildcard),
    st.builds("{}.{}.{}".format, number, number, wildcard), st.builds("{}.{}.{}".format, number, wildcard, wildcard),
    st.builds("{}.{}.{}".format, wildcard, wildcard, wildcard),
)  # fmt: skip
partial = st.one_of(full, st.builds("{}{}".format, short, st.sampled_from(["", "", "-0", "-beta"])))
operator = st.sampled_from(["", "=", "!=", ">", "<", ">=", "=>", "<=", "=<", "~", "~>", "^"])
compared = st.builds(
    lambda op, space, version: f"{op}{space}{version}" if op else version, operator, st.sampled_from(["", " "]), partial
)
term = st.one_of(compared, compared, st.builds("{} - {}".format, partial, partial))
separator = st.sampled_from([" ", "  ", ",", ", ", " , ", "||", " || "])
ranges = st.lists(st.tuples(separator, term), min_size=1, max_size=4).map(
    lambda parts: "".join(between + one for between, one in parts).lstrip(" ,|")
)
versions = st.builds("{}.{}.{}{}".format, *[st.integers(0, 3)] * 3, prerelease).map(parse_version)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        # The documentation's "Basic Comparisons".
        ("=1.2.3", "1.2.3 1.2.3+b", "1.2.2 1.2.4 1.2.3-rc.1"),
        ("1.2.3", "1.2.3 1.2.3+b", "1.2.2 1.2.4 1.2.3-rc.1"),
        ("v1.2.3+a", "1.2.3 1.2.3+b", "1.2.4"),
        ("!=1.2.3", "1.2.2 1.2.4 2.0.0", "1.2.3 1.2.3+b"),
        (">1.2.3", "1.2.4 2.0.0", "1.2.3 1.2.3+b 1.0.0"),
        ("<1.2.3", "1.2.2 0.0.0", "1.2.3 1.2.4 1.2.3-rc.1"),
        (">=1.2.3", "1.2.3 9.9.9", "1.2.2 1.2.3-rc.1"),
        ("<=1.2.3", "1.2.3 0.9.9", "1.2.4"),
        ("=>1.2.3", "1.2.3", "1.2.2"),
        ("=<1.2.3", "1.2.3", "1.2.4"),
        (">= 1.2, < 3.0.0 || >= 4.2.3", "1.2.0 2.9.9 4.2.3 5.0.0", "1.1.9 3.0.0 4.2.2"),
        (">= 1.2 < 3.0.0 || >= 4.2.3", "1.2.0 2.9.9 4.2.3 5.0.0", "1.1.9 3.0.0 4.2.2"),
        (">=1.2 <1.4", "1.2.0 1.3.9", "1.1.9 1.4.0"),
        (">=1.2,<1.4", "1.2.0 1.3.9", "1.1.9 1.4.0"),
        (">=1.2 , <1.4", "1.2.0 1.3.9", "1.1.9 1.4.0"),
        ("~1.2 !=1.2.4", "1.2.3 1.2.5", "1.2.4 1.3.0"),
        ("1.2.3||1.2.5", "1.2.3 1.2.5", "1.2.4"),
        (">1.4 <1.2", "", "1.1.0 1.2.0 1.3.0 1.4.0 1.5.0"),
        # "Hyphen Range Comparisons".
        ("1.2 - 1.4.5", "1.2.0 1.4.5", "1.1.9 1.4.6"),
        ("2.3.4 - 4.5", "2.3.4 4.5.9", "2.3.3 4.6.0"),
        ("1.x - 2.x", "1.0.0 2.9.9", "0.9.9 3.0.0"),
        ("1.2 - 1.4 !=1.3.1", "1.2.0 1.3.0 1.4.9", "1.3.1 1.5.0"),
        ("~0.9 || 1.2  -  1.4", "0.9.1 1.2.0 1.4.9", "1.0.0 1.5.0"),
        ("1.2 - *", "1.2.0 9.9.9", "1.1.9"),
        # "Wildcards In Comparisons".
        ("1.2.x", "1.2.0 1.2.9", "1.1.9 1.3.0 1.2.1-rc.1"),
        ("1.2.X", "1.2.0 1.2.9", "1.1.9 1.3.0"),
        ("1.2.*", "1.2.0 1.2.9", "1.1.9 1.3.0"),
        ("1.2", "1.2.0 1.2.9", "1.1.9 1.3.0"),
        ("=1.2", "1.2.0 1.2.9", "1.1.9 1.3.0"),
        ("v1", "1.0.0 1.9.9", "0.9.9 2.0.0"),
        ("1.x", "1.0.0 1.9.9", "0.9.9 2.0.0"),
        ("1.x.x", "1.0.0 1.9.9", "0.9.9 2.0.0"),
        (">= 1.2.x", "1.2.0 2.0.0", "1.1.9"),
        (">= 1.x", "1.0.0 2.0.0", "0.9.9"),
        ("<= 2.x", "2.9.9 0.0.1", "3.0.0"),
        ("<= 2.1", "2.1.9 0.0.1", "2.2.0"),
        ("< 2.x", "1.9.9", "2.0.0 2.0.1"),
        ("< 2.1", "2.0.9", "2.1.0"),
        (">11", "12.0.0", "11.0.0 11.1.0"),
        (">11.1", "11.2.0 12.0.0", "11.1.0 11.1.1"),
        ("!=4.x", "3.9.9 5.0.0", "4.0.0 4.9.9"),
        ("!=4.1.x", "4.0.9 4.2.0 5.0.0", "4.1.0 4.1.9"),
        ("*", "0.0.0 9.9.9", "1.0.0-rc.1"),
        ("x.x.x", "0.0.0 9.9.9", "1.0.0-rc.1"),
        ("=*", "0.0.0 9.9.9", ""),
        (">=*", "0.0.0 9.9.9", ""),
        ("<=*", "0.0.0 9.9.9", ""),
        ("~*", "0.0.0 9.9.9", ""),
        ("^*", "0.0.0 9.9.9", ""),
        (">*", "", "0.0.0 9.9.9"),
        ("<*", "", "0.0.0 9.9.9"),
        ("!=*", "", "0.0.0 9.9.9"),
        # "Tilde Range Comparisons".
        ("~1.2.3", "1.2.3 1.2.9", "1.2.2 1.3.0"),
        ("~>1.2.3", "1.2.3 1.2.9", "1.2.2 1.3.0"),
        ("~1", "1.0.0 1.9.9", "0.9.9 2.0.0"),
        ("~2.3", "2.3.0 2.3.9", "2.2.9 2.4.0"),
        ("~1.2.x", "1.2.0 1.2.9", "1.1.9 1.3.0"),
        ("~1.x", "1.0.0 1.9.9", "0.9.9 2.0.0"),
        ("~0.0.0", "0.0.0 0.0.9", "0.1.0 1.0.0"),
        # "Caret Range Comparisons".
        ("^1.2.3", "1.2.3 1.9.9", "1.2.2 2.0.0"),
        ("^1.2.x", "1.2.0 1.9.9", "1.1.9 2.0.0"),
        ("^2.3", "2.3.0 2.9.9", "2.2.9 3.0.0"),
        ("^2.x", "2.0.0 2.9.9", "1.9.9 3.0.0"),
        ("^0.2.3", "0.2.3 0.2.9", "0.2.2 0.3.0 1.0.0"),
        ("^0.2", "0.2.0 0.2.9", "0.1.9 0.3.0"),
        ("^0.0.3", "0.0.3", "0.0.2 0.0.4 0.1.0"),
        ("^0.0", "0.0.0 0.0.9", "0.1.0"),
        ("^0.0.0", "0.0.0", "0.0.1"),
        ("^0", "0.0.0 0.9.9", "1.0.0"),
        ("^0.x", "0.0.0 0.9.9", "1.0.0"),
        # "Working With Prerelease Versions": only beside a pre-release of the same alternative.
        (">=1.2.3-0", "1.2.3-alpha 1.2.3 1.3.0-rc.1 2.0.0", "1.2.2 1.2.2-rc.1"),
        (">=1.2.3-BETA", "1.2.3-alpha 1.2.3-BETA", "1.2.3-ALPHA"),
        (">=1.2.0-0 <2.0.0", "1.2.0-rc.1 1.3.0-rc.1 2.0.0-rc.1", "2.0.0"),
        (">=1.2.0-0 <2.0.0-0", "1.2.0-rc.1 1.9.0-rc.1", "2.0.0-rc.1 2.0.0"),
        ("<2.0.0-0 >=1.2.0", "1.2.0 1.3.0-rc.1", "1.2.0-rc.1 2.0.0-rc.1"),
        ("~1.2 || 2.0.0-rc.1", "1.2.1 2.0.0-rc.1", "1.2.1-rc.1 2.0.0-rc.2 2.0.0"),
        ("1.2.3-rc.1", "1.2.3-rc.1", "1.2.3 1.2.3-rc.2"),
        ("~1.2.3-rc.1", "1.2.3-rc.1 1.2.3-rc.2 1.2.3 1.2.4-rc.1", "1.2.3-beta 1.3.0-rc.1 1.3.0"),
        ("^1.2.3-rc.1", "1.2.3-rc.1 1.9.0-rc.1", "2.0.0-rc.1 2.0.0-0"),
        ("^0.0.3-rc.1", "0.0.3-rc.1 0.0.3", "0.0.4-rc.1"),
        ("~1.2-0", "1.2.0-rc.1 1.2.4-rc.1 1.2.4", "1.3.0-rc.1 1.1.9"),
        ("1.x-0", "1.0.0-rc.1 1.9.0-rc.1 1.9.0", "2.0.0-rc.1 0.9.9"),
        ("1.2.x-0", "1.2.0-rc.1 1.2.9", "1.3.0-rc.1"),
        ("*-0", "0.0.0-rc.1 9.9.9-rc.1 9.9.9", ""),
        (">1.2-0", "1.3.0-rc.1 1.3.0", "1.2.9 1.2.9-rc.1"),
        ("<=1.2-0", "1.2.9 1.2.9-rc.1", "1.3.0-rc.1"),
        (">=1.0.0-0 !=1.2.x", "1.1.0-rc.1 1.3.0-rc.1", "1.2.0-rc.1 1.2.9-rc.1 1.2.9"),
        (">=1.0.0-0 !=1.2.3", "1.2.3-rc.1", "1.2.3"),
        ("1.2.0-rc.1 - 1.4", "1.2.0-rc.1 1.4.9 1.4.9-rc.1", "1.2.0-beta 1.5.0-rc.1"),
        ("1.2 - 1.4.0-rc.1", "1.2.0 1.3.0-rc.1 1.4.0-rc.1", "1.2.0-rc.1 1.4.0"),
    ],
)  # fmt: skip
def test_what_is_in_a_range(text: str, inside: str, outside: str) -> None:
    wanted = parse_range(text)
    assert [one for one in inside.split() if not wanted.allows(parse_version(one))] == []
    assert [one for one in outside.split() if wanted.allows(parse_version(one))] == []
    assert str(wanted) == text


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ("1.2.3", "1.2.3"),
        ("v1.2.3", "1.2.3"),
        ("=1.2.3", "1.2.3"),
        ("= v1.2.3", "1.2.3"),
        ("1.3.0-beta.1", "1.3.0-beta.1"),
        ("1.2.3+abc.7", "1.2.3+abc.7"),
        ("1.2", None),
        ("~1.2.3", None),
        (">=1.2.3", None),
        ("=>1.2.3", None),
        ("!=1.2.3", None),
        ("1.2.3 1.2.3", None),
        ("1.2.3 || 1.2.4", None),
        ("1.2.3 - 1.2.3", None),
        ("*", None),
    ],
)
def test_only_a_single_version_is_exact(text: str, exact: str | None) -> None:
    found = parse_range(text).exact
    assert (str(found) if found else None) == exact


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there is nothing where a version should be"),
        ("1.2 ||", "there is nothing where a version should be"),
        ("|| 1.2", "there is nothing where a version should be"),
        ("1.2 || || 1.3", "there is nothing where a version should be"),
        (" 1.2.3", "there is space around it"),
        ("1.2.3 ", "there is space around it"),
        ("1.2.3\n", "there is space around it"),
        ("latest", "'latest' is neither a version"),
        ("v", "'v' is neither a version"),
        ("vv1.2.3", "'vv1.2.3' is neither a version"),
        ("V1.2.3", "'V1.2.3' is neither a version"),
        ("01.2.3", "'01.2.3' is neither a version"),
        ("1.2.3.4", "'1.2.3.4' is neither a version"),
        ("1.x.3", "'1.x.3' is neither a version"),
        ("1..2", "'1..2' is neither a version"),
        ("1.2.3-", "'1.2.3-' is neither a version"),
        ("1.2.3-01", "'1.2.3-01' is neither a version"),
        ("1.2+build", "'1.2+build' is neither a version"),
        ("==1.2", "'==1.2' is neither a version"),
        (">>1.2", "'>>1.2' is neither a version"),
        (">=1.2 and <1.4", "'and' is neither a version"),
        ("~1.2 - 1.4", "'~1.2 - 1.4' is neither a version"),
        ("1.2\t1.3", "is neither a version"),
        ("1.2-1.4", "write spaces around the hyphen"),
        ("^1.2-beta.1", "all three numbers before a pre-release"),
        ("1-2", "write spaces around the hyphen"),
        (">=1.2<1.4", "with spaces, commas or || between them"),
        ("1.2,,1.3", "with spaces, commas or || between them"),
        ("1.2,", "with spaces, commas or || between them"),
        (">=", "with spaces, commas or || between them"),
    ],
)
def test_what_is_no_range_is_told(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as refusal:
        parse_range(text)
    assert repr(text) in str(refusal.value)
    assert str(refusal.value).endswith(f"examples: {EXAMPLES}")


def test_the_examples_are_ranges() -> None:
    for text in EXAMPLES.split(", "):
        parse_range(text)


def test_a_text_beyond_the_bound_is_refused_for_its_length() -> None:
    parse_range("1.2.3 || ".ljust(MAX_VERSION - 5) + "1.2.4")
    with pytest.raises(ValueError, match=f"at most {MAX_VERSION} characters, and this one has {MAX_VERSION + 1}"):
        parse_range("1.2.3 || ".ljust(MAX_VERSION - 4) + "1.2.4")


def test_the_pattern_is_within_what_re2_knows() -> None:
    # RE2 has no look-around, no references back and no possessive or atomic groups.
    assert "(?" not in VERSION_OR_RANGE_PATTERN
    assert not re.search(r"\\[0-9]|[*+?}]\+", VERSION_OR_RANGE_PATTERN)
    # It goes into CEL as r'...', and the cost of a match is in proportion to its length.
    assert "'" not in VERSION_OR_RANGE_PATTERN
    assert len(VERSION_OR_RANGE_PATTERN) < 2048


@given(ranges)
def test_what_people_write_is_taken(text: str) -> None:
    if len(text) <= MAX_VERSION:
        parse_range(text)
        assert re.fullmatch(VERSION_OR_RANGE_PATTERN, text)


@given(st.from_regex(VERSION_OR_RANGE_PATTERN, fullmatch=True), versions)
def test_what_the_pattern_takes_is_a_range(text: str, version: semver.Version) -> None:
    if len(text) <= MAX_VERSION and not text.endswith("\n"):
        assert parse_range(text).allows(version) in (True, False)


@given(st.one_of(st.text("0123x.*<>=!~^|, -v+ab", max_size=20), ranges.map(lambda text: text[1:]), ranges))
def test_what_the_pattern_refuses_is_refused_with_examples(text: str) -> None:
    if re.fullmatch(VERSION_OR_RANGE_PATTERN, text) or len(text) > MAX_VERSION:
        return
    with pytest.raises(ValueError, match=re.escape(EXAMPLES)):
        parse_range(text)


@given(full)
def test_each_version_is_an_exact_one(text: str) -> None:
    wanted = parse_range(text)
    assert wanted.exact == parse_version(text)
    assert wanted.allows(parse_version(text))


@given(ranges, versions)
@example("1.2.3-rc.1", parse_version("1.2.3-rc.1"))
def test_build_metadata_does_not_count(text: str, version: semver.Version) -> None:
    if len(text) <= MAX_VERSION:
        wanted = parse_range(text)
        assert wanted.allows(version) == wanted.allows(version.replace(build="abc.7"))


@given(ranges, versions)
def test_a_range_that_names_no_pre_release_takes_none(text: str, version: semver.Version) -> None:
    text = re.sub(r"-[0-9a-z.-]+", "", text)
    if len(text) <= MAX_VERSION and version.prerelease:
        assert not parse_range(text).allows(version)


@given(term, term, versions)
def test_alternatives_add_and_terms_take_away(one: str, other: str, version: semver.Version) -> None:
    first, second = parse_range(one).allows(version), parse_range(other).allows(version)
    assert parse_range(f"{one} || {other}").allows(version) == (first or second)
    if version.prerelease is None:
        assert parse_range(f"{one}, {other}").allows(version) == (first and second)


@given(partial, versions)
def test_each_comparison_has_its_opposite(text: str, version: semver.Version) -> None:
    if version.prerelease is None:
        for one, other in (("<", ">="), (">", "<="), ("=", "!=")):
            assert parse_range(one + text).allows(version) != parse_range(other + text).allows(version)
