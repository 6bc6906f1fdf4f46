"""What the injector does with a Pod."""

from typing import Any

import pytest

from meshupgrade.domain.injection import annotation_says, driver_in_use, environment, injected_image, injection_asked

ANNOTATION = "openservicemesh.io/sidecar-injection"
PATH = ("sidecar", "sidecarImage")


@pytest.mark.parametrize(
    ("named", "driver", "default", "image"),
    [
        ("m:1", "d:1", "e:1", "m:1"),
        ("", "d:1", "e:1", "d:1"),
        (None, None, "e:1", "e:1"),
        (None, "", None, None),
    ],
)
def test_the_first_that_names_an_image_counts(
    named: str | None, driver: str | None, default: str | None, image: str | None
) -> None:
    assert injected_image({"sidecar": {"sidecarImage": named}}, PATH, driver, default) == image


def test_a_field_that_the_mesh_config_lacks_is_not_looked_for() -> None:
    assert injected_image({"sidecar": {}}, None, None, "e:1") == "e:1"


@pytest.mark.parametrize(
    ("sidecar", "image"),
    [
        (
            {"sidecarClass": "Pipy", "sidecarDrivers": [{"sidecarName": "envoy"}, {"sidecarName": "pipy", "i": "p"}]},
            "p",
        ),
        ({"sidecarDrivers": [{"sidecarName": "pipy", "i": "p"}]}, None),
        # Only the first of a name counts, even if it says nothing.
        ({"sidecarClass": "a", "sidecarDrivers": [{"sidecarName": "A"}, {"sidecarName": "a", "i": "p"}]}, None),
        ({"sidecarClass": "a"}, None),
        ({"sidecarClass": "a", "sidecarDrivers": ["a"]}, None),
        ({}, None),
    ],
)
def test_the_driver_of_the_class_is_in_use(sidecar: dict[str, Any], image: str | None) -> None:
    found = driver_in_use(
        {"sidecar": sidecar}, ("sidecar", "sidecarDrivers"), "sidecarName", ("sidecar", "sidecarClass")
    )
    assert found.get("i") == image


def test_only_variables_with_a_value_of_their_own_are_known() -> None:
    variables = [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {}}, {"name": "C", "value": ""}]
    containers = [{"name": "injector", "env": variables}, {"name": "other", "env": [{"name": "D", "value": "2"}]}]
    deployment = {"spec": {"template": {"spec": {"containers": [*containers, {"name": "bare"}]}}}}
    assert environment(deployment, "injector") == {"A": "1"}
    assert environment(deployment, "bare") == {}


@pytest.mark.parametrize(
    ("own", "namespace", "host", "asked"),
    [
        (None, True, False, True),
        (None, False, False, False),
        (None, None, False, False),
        ("Enabled", None, False, True),
        ("no", True, False, False),
        ("perhaps", True, False, False),
        ("yes", True, True, False),
    ],
)
def test_who_gets_a_sidecar(own: str | None, namespace: bool | None, host: bool, asked: bool) -> None:
    annotations = {ANNOTATION: own} if own is not None else None
    pod = {"metadata": {"annotations": annotations}, "spec": {"hostNetwork": host}}
    assert injection_asked(pod, ANNOTATION, by_namespace=namespace) is asked


@pytest.mark.parametrize(
    ("value", "meaning"),
    [
        *[("enabled", True), ("TRUE", True), ("yes", True), ("disabled", False), ("No", False), ("false", False)],
        *[(None, None), ("", None), ("on", None)],
    ],
)
def test_values_of_the_annotation(value: str | None, meaning: bool | None) -> None:
    assert annotation_says(value) is meaning
