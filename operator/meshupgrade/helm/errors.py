"""What Helm raises, told apart by what it wrote.

::

    HelmError                     Helm ended with an error
    ├── HelmUnreachable           the API server or the repository did not answer: worth another try
    ├── HelmTimedOut              it ran into its own timeout, or into our deadline
    ├── RenderError               the chart does not render with these values
    │   ├── ValuesRejected        values.schema.json refuses the values
    │   ├── KubernetesUnsupported the chart's kubeVersion does not fit the server
    │   └── KindsNotServed        a kind that the chart makes is not served
    ├── WebhookUnreachable        an admission webhook did not answer
    └── ReleaseLocked             another operation on the release is in progress
"""

import re

__all__ = [
    "HelmError",
    "HelmTimedOut",
    "HelmUnreachable",
    "KindsNotServed",
    "KubernetesUnsupported",
    "ReleaseLocked",
    "RenderError",
    "ValuesRejected",
    "WebhookUnreachable",
    "classify",
]

MAX_MESSAGE = 1500


class HelmError(Exception):
    """Helm ended with an error; the text is what it said, bounded."""


class HelmUnreachable(HelmError):
    """The API server, or a repository, did not answer."""


class HelmTimedOut(HelmError):
    """Helm did not end in time."""


class RenderError(HelmError):
    """The chart does not render with these values."""


class ValuesRejected(RenderError):
    """The chart's values.schema.json refuses the values."""


class KubernetesUnsupported(RenderError):
    """The chart's kubeVersion does not fit the API server."""


class KindsNotServed(RenderError):
    """The chart makes objects of kinds that the API server does not serve."""


class ReleaseLocked(HelmError):
    """Another operation on the release is in progress."""


class WebhookUnreachable(HelmError):
    """An admission webhook did not answer, and the API server refuses without it."""


_TABLE: tuple[tuple[str, type[HelmError]], ...] = (
    (r"another operation \(install/upgrade/rollback\) is in progress", ReleaseLocked),
    (r"failed calling webhook", WebhookUnreachable),
    (r"don't meet the specifications of the schema", ValuesRejected),
    (r"chart requires kubeVersion", KubernetesUnsupported),
    (r"no matches for kind|resource mapping not found", KindsNotServed),
    (r"Kubernetes cluster unreachable|connection refused|no such host|TLS handshake timeout|i/o timeout"
     r"|connection reset by peer|etcdserver: |too many requests|the server is currently unable", HelmUnreachable),
    (r"context deadline exceeded|timed out waiting", HelmTimedOut),
    (r"nil pointer evaluating|executing \"|error validating data", RenderError),
    (r"execution error at|error calling|parse error at|template: |unable to build kubernetes objects"
     r"|YAML parse error|cannot load values|error unmarshaling", RenderError),
)  # fmt: skip


def classify(stderr: str) -> HelmError:
    """Give the error that Helm's standard error speaks of."""
    message = _essence(stderr)
    kind = next((kind for pattern, kind in _TABLE if re.search(pattern, stderr, re.IGNORECASE)), HelmError)
    return kind(message)


def _essence(stderr: str) -> str:
    """Give what a person needs of Helm's output: no log lines, no leading "Error: UPGRADE FAILED:"."""
    lines = [line.rstrip() for line in stderr.splitlines() if line.strip() and not _is_log(line)]
    text = "\n".join(lines) or stderr.strip() or "Helm ended with an error and said nothing"
    text = re.sub(r"^Error:\s*", "", text)
    text = re.sub(r"^(UPGRADE|INSTALLATION) FAILED:\s*", "", text)
    return text if len(text) <= MAX_MESSAGE else text[:MAX_MESSAGE] + " …"


def _is_log(line: str) -> bool:
    return bool(re.match(r"(level=|time=|[IWEF]\d{4} \d\d:|WARNING: )", line))
