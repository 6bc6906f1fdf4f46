"""Helm's encoding of stored revisions."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshupgrade.helm.storage import _decode, _encode

# The release of a chart with one ConfigMap, as Helm 4.3.1 stored it; without the base64 that every Secret has.
STORED = (
    "H4sIAAAAAAAC/4RSXW/TMBT9K9Hl1ekcpy2NHzcoDxNCQCltCJruEqf16i/FTlFV5b8jp6xDCGnSfbCvdD58js9gUAvg0AEBaVoL"
    "/Ayt7Hx4aIRT9iQa4MAom6dZljK2yhaczTmlk2I2neeM5dMSCCh8DTCf5NM8X7CiWERAI3zdSRekNcDhm9t12IikttopEQQQ8AFD"
    "74HDlXUgUO+xC9GhFgEbDBjPfx5gD0DgKDp/ocwmdEKBADq5vi6PLLIoWx+Am14pAkFopzAID/zHleq6vMHJCbWKfkcx2G5u3Vqv"
    "TzVTx8cnu2ue3t8jU335zu4+s6IvtTKr78tfdzpTzYflYbv5sv8kb98+6mUoV3a33dB7IKBtE+Qo9b9kF7NstpgVLCth+EngiKqP"
    "/s4DAV/vhcZn85fbCxmlNEvHWVHKx4lZt1JF/AXzqnQ+Laa0KGNQGo1shQ/AIU3TyrxJvtq+qwVP7OHm35Aq8xI1T45ZZQ7SNDy5"
    "s6aVu4/oKvPcGk/OMWme4FCZyvzdW0bJ2IJ3WIux/RZ7FcYinTo9aBH2Nv4w7xGG3wEAAP//9vC8Gb4CAAA="
)

leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
documents = st.dictionaries(
    st.text(max_size=5),
    st.recursive(leaves, lambda inner: st.dictionaries(st.text(max_size=3), inner, max_size=2), max_leaves=3),
    max_size=3,
)


@given(documents)
def test_what_is_encoded_is_decoded(data: dict[str, Any]) -> None:
    assert _decode({"data": {"release": _encode(data)}}) == data


def test_a_stored_release_of_helm_is_decoded() -> None:
    data = _decode({"data": {"release": base64.b64encode(STORED.encode()).decode()}})
    assert (data["name"], data["version"], data["info"]["status"]) == ("r", 10, "deployed")
    assert data["chart"]["metadata"] == {"name": "ok", "version": "1.0.0", "apiVersion": "v2"}
    assert data["manifest"].startswith("---\n# Source: ok/templates/a.yaml\n")


def test_the_uncompressed_form_of_old_releases_is_decoded() -> None:
    packed = base64.b64encode(base64.b64encode(json.dumps({"name": "r"}).encode())).decode()
    assert _decode({"data": {"release": packed}}) == {"name": "r"}


def test_it_is_packed_as_helm_reads_it() -> None:
    once = base64.b64decode(_encode({"name": "r"}))
    assert base64.b64decode(once)[:3] == b"\x1f\x8b\x08"


def test_what_is_no_release_is_refused() -> None:
    with pytest.raises(ValueError):
        _decode({"data": {"release": base64.b64encode(b"!").decode()}})
