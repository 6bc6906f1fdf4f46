"""The grammar of spec.version, an exact version or a range of versions, as one regular expression."""

__all__ = ["MAX_VERSION", "TERM_PATTERN", "VERSION_OR_RANGE_PATTERN"]

MAX_VERSION = 128
"""In characters: longer than any range that a person writes."""

_NUMBER = "(0|[1-9][0-9]*)"
_IDENTIFIER = "(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
_BUILD = "[0-9a-zA-Z-]+"
_FULL = rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(-{_IDENTIFIER}(\.{_IDENTIFIER})*)?(\+{_BUILD}(\.{_BUILD})*)?"
# A short version takes as pre-release only what cannot be meant as a version: 1.2-1.4 is a hyphen without its spaces.
_SHORT = (
    rf"([xX*](\.[xX*](\.[xX*])?)?|{_NUMBER}(\.[xX*](\.[xX*])?|\.{_NUMBER}(\.[xX*])?)?)(-(0|[a-zA-Z][0-9a-zA-Z-]*))?"
)
_VERSION = rf"v?({_FULL}|{_SHORT})"
_OPERATOR = "([!<>]=|=[<>]|~>|[=<>~^])"

TERM_PATTERN = rf"({_OPERATOR} *{_VERSION}|{_VERSION}( +- +{_VERSION})?)"
"""One term: a version after an operator, or one by itself, or two with a hyphen between."""

VERSION_OR_RANGE_PATTERN = rf"^{TERM_PATTERN}(( *\|\| *| *, *| +){TERM_PATTERN})*$"
"""What ``domain.ranges.parse_range`` takes, up to its length, in the syntax of RE2 and of Python.

``$`` is the end of the text in RE2; Python wants ``re.fullmatch``.
"""
