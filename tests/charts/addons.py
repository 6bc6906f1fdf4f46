"""Releases whose chart says the images of addons in other ways: fixed in the template, and in parts.

They are in no list of the fixture mesh: whoever wants them packages them.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tests.charts.build import run_helm, write_chart
from tests.charts.releases import release

_IMAGE = "          image: {{ .values.image | quote }}\n"
_IMAGES = """\
          {{- if eq .container "grafana" }}
          image: GRAFANA
          {{- else if kindIs "map" .values.image }}
          image: "{{ .values.image.registry }}/{{ .values.image.name }}:{{ .values.image.tag }}"
          {{- else }}
          image: {{ .values.image | quote }}
          {{- end }}
"""


def package(out: Path, helm: Path, registry: str, version: str, grafana: str) -> None:
    """Package 1.2.1 under another version into ``out``.

    Grafana's image is the given one and no value, Jaeger's an object of registry, name and tag as fsm has it from 1.2
    on, Prometheus' a text.
    """
    parts = {"registry": "jaegertracing", "name": "all-in-one", "tag": "1.25"}
    base = release("1.2.1")
    shaped = dataclasses.replace(
        base,
        version=version,
        values={**base.values, "grafana": {"image": None}, "tracing": {"image": parts}},
        schema={
            **base.schema,
            "grafana": {"required": None},
            "tracing": {"properties": {"image": {"type": "object"}}},
        },
    )
    chart = write_chart(out / f"source-{version}", shaped, registry)
    template = chart / "templates/addons.yaml"
    text = template.read_text()
    assert _IMAGE in text
    template.write_text(text.replace(_IMAGE, _IMAGES.replace("GRAFANA", grafana)))
    run_helm(helm, "package", str(chart), "--destination", str(out))


def index(out: Path, helm: Path) -> None:
    """Make the packages of a folder a chart repository."""
    run_helm(helm, "repo", "index", str(out))
