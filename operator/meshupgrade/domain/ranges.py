"""Ranges of versions, as users of Helm and Flux write them.

Source: documentation and behaviour of Masterminds/semver 3.5, "Checking Version Constraints", with a few differences.
A lone wildcard stands for all versions after every operator, so ``^*`` and ``<=*`` take all, ``>*``, ``<*`` and
``!=*`` none. ``~0.0.0`` is a range of patches as ``~0.0.1`` is, and not every version. ``!=1.2.x`` leaves out the
pre-releases of 1.2, too. A hyphen range may stand beside other terms. No number follows a wildcard or begins with a
zero, and a short version takes no pre-release that may be meant as a version (``1.2-1.4``).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import semver

from meshupgrade.api.v1alpha1.version_pattern import MAX_VERSION, TERM_PATTERN, VERSION_OR_RANGE_PATTERN
from meshupgrade.domain.versions import parse_version

__all__ = ["EXAMPLES", "VERSION_OR_RANGE_PATTERN", "Range", "parse_range"]

EXAMPLES = "1.2.3, ~1.2, ^1.2, 1.x, >=1.2 <1.4, 1.2 - 1.4.5, ~1.2 || ~1.4"
"""What a message shows to somebody whose range was refused."""

_TERM = re.compile(r"(?:(?P<operator>[!<>=~^]+) *)?(?P<version>[^ ,!<>=~^]+)(?: +- +(?P<last>[^ ,]+))?")
_ALIASES = {"": "=", "=>": ">=", "=<": "<=", "~>": "~"}
_COMPARISONS: dict[str, Callable[[int], bool]] = {
    "<": lambda order: order < 0,
    "<=": lambda order: order <= 0,
    "=": lambda order: order == 0,
    ">=": lambda order: order >= 0,
    ">": lambda order: order > 0,
}


@dataclass(frozen=True, slots=True)
class _Bound:
    """A comparison with one version by precedence, in which build metadata does not count."""

    comparison: str
    version: semver.Version

    def holds(self, version: semver.Version) -> bool:
        return _COMPARISONS[self.comparison](version.compare(self.version))


@dataclass(frozen=True, slots=True)
class _Term:
    """All that lies within the bounds or, negated, all that does not."""

    bounds: tuple[_Bound, ...]
    negated: bool = False

    def holds(self, version: semver.Version) -> bool:
        return all(bound.holds(version) for bound in self.bounds) != self.negated


@dataclass(frozen=True, slots=True)
class _Alternative:
    """Terms that a version has to satisfy, all of them."""

    terms: tuple[_Term, ...]
    prereleases: bool
    """Whether one of them names a pre-release, as the user wrote it."""

    def allows(self, version: semver.Version) -> bool:
        return (self.prereleases or version.prerelease is None) and all(term.holds(version) for term in self.terms)


@dataclass(frozen=True, slots=True)
class Range:
    """A single version or a range of them."""

    text: str
    exact: semver.Version | None
    """The version when the text names a single one, which makes it a person's choice."""

    alternatives: tuple[_Alternative, ...]

    def __str__(self) -> str:
        return self.text

    def allows(self, version: semver.Version) -> bool:
        """Tell whether the version is in the range, which is to satisfy all terms of one of its alternatives.

        A pre-release is in it only when that alternative itself names a pre-release (the source's "Working With
        Prerelease Versions"). Build metadata does not count.
        """
        return any(alternative.allows(version) for alternative in self.alternatives)


def parse_range(text: str) -> Range:
    """Give the range that the text stands for.

    Raises ValueError, whose message says what is wrong and shows what is right.
    """
    if len(text) > MAX_VERSION:
        raise ValueError(f"a version or range has at most {MAX_VERSION} characters, and this one has {len(text)}")
    if not re.fullmatch(VERSION_OR_RANGE_PATTERN, text):
        raise ValueError(f"{text!r} is no version and no range: {_complaint(text)}; examples: {EXAMPLES}")
    return Range(text, _exact(text), tuple(map(_alternative, text.split("||"))))


def _complaint(text: str) -> str:
    if text != text.strip():
        return "there is space around it"
    for alternative in text.split("||"):
        if not alternative.strip():
            return "there is nothing where a version should be"
        for term in (match.group() for match in _TERM.finditer(alternative)):
            if re.fullmatch(TERM_PATTERN, term):
                continue
            if re.fullmatch(r"[^ .-]+(\.[^ .-]+)?-[^ ]+", term):
                return (
                    f"what follows the hyphen in {term!r} is taken as a pre-release; write spaces around the hyphen "
                    "of a range, and all three numbers before a pre-release"
                )
            return f"{term!r} is neither a version nor a comparison with one"
    return "it is to be versions, or comparisons with versions, with spaces, commas or || between them"


def _exact(text: str) -> semver.Version | None:
    try:
        return parse_version(text.removeprefix("=").lstrip(" "))
    except ValueError:
        return None


def _alternative(text: str) -> _Alternative:
    terms, prereleases = [], False
    for match in _TERM.finditer(text):
        operator, version = match["operator"] or "", _Partial.parse(match["version"])
        terms.append(_term(_ALIASES.get(operator, operator), version))
        prereleases |= version.prerelease is not None
        if match["last"]:
            last = _Partial.parse(match["last"])
            terms[-1:] = [_term(">=", version), _term("<=", last)]
            prereleases |= last.prerelease is not None
    return _Alternative(tuple(terms), prereleases)


@dataclass(frozen=True, slots=True)
class _Partial:
    """A version of which the last numbers may be left open."""

    numbers: tuple[int, ...]
    prerelease: str | None

    @classmethod
    def parse(cls, text: str) -> "_Partial":
        """Give what a text of the grammar names."""
        core, _, prerelease = text.removeprefix("v").partition("+")[0].partition("-")
        numbers = tuple(int(part) for part in core.split(".") if part.isdigit())
        return cls(numbers, prerelease or None)

    @property
    def low(self) -> semver.Version:
        """The version itself, or the lowest of those that it stands for."""
        major, minor, patch = (*self.numbers, 0, 0, 0)[:3]
        return semver.Version(major, minor, patch, self.prerelease)

    def under(self, shared: int) -> tuple[_Bound, ...]:
        """Give the bound above all versions that have as many of the first numbers in common, none when it is none.

        It is the lowest pre-release of the next version: those of 2.0.0 are no 1.x.
        """
        shared = min(shared, len(self.numbers))
        if shared == 0:
            return ()
        major, minor, patch = (*self.numbers[: shared - 1], self.numbers[shared - 1] + 1, 0, 0)[:3]
        return (_Bound("<", semver.Version(major, minor, patch, "0")),)


def _term(operator: str, to: _Partial) -> _Term:
    if operator in ("<", ">="):
        return _Term((_Bound(operator, to.low),))
    if operator == "^":
        # Up to the first number that is not 0: a change of that one may break.
        shared = next((at for at, number in enumerate(to.numbers, 1) if number), 3)
        return _Term((_Bound(">=", to.low), *to.under(shared)))
    if operator != "~" and len(to.numbers) == 3:
        negated = operator == "!="
        return _Term((_Bound("=" if negated else operator, to.low),), negated)
    under = to.under(2)
    if operator in ("<=", ">"):
        return _Term(under, negated=operator == ">")
    if operator == "!=":
        return _Term((_Bound(">=", to.low.replace(prerelease="0")), *under), negated=True)
    return _Term((_Bound(">=", to.low), *under))
