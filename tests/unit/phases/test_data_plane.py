"""Which sidecar a Pod runs."""

import pytest

from meshupgrade.phases.data_plane import judge_pod


@pytest.mark.parametrize(
    ("containers", "injected", "verdict"),
    [
        ({"app": "app:1", "sidecar": "pipy:2"}, "pipy:2", "current"),
        ({"app": "app:1", "sidecar": "pipy:1"}, "pipy:2", "outdated"),
        # What cannot be told is never current.
        ({"app": "app:1", "sidecar": "pipy:2"}, None, "unknown"),
        ({"app": "pipy:2"}, "pipy:2", "unknown"),
        ({}, "pipy:2", "unknown"),
    ],
)
def test_verdicts(containers: dict[str, str], injected: str | None, verdict: str) -> None:
    pod = {"spec": {"containers": [{"name": name, "image": image} for name, image in containers.items()]}}
    assert judge_pod(pod, "sidecar", injected) == verdict
