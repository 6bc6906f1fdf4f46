"""The chart repository with its login and certificates, out of the Secrets that spec.chart names."""

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.spec import LocalReference
from meshupgrade.api.v1alpha1.status import Phase
from meshupgrade.helm.charts import ChartSource
from meshupgrade.helm.repository import ChartNotListed, RepositoryDenied, RepositoryError, RepositoryInvalid
from meshupgrade.oci import Credentials, ImageReference, OCIError
from meshupgrade.phases.logins import named_logins, named_tls
from meshupgrade.phases.references import ReferenceInvalid, mask_login, read_secret
from meshupgrade.phases.shape import Work

__all__ = ["chart_source", "repository_finding"]

LOGIN = "spec.chart.secretRef"
CERTIFICATES = "spec.chart.certSecretRef"


async def chart_source(work: Work, chart_name: str) -> ChartSource:
    """Give the repository and how to get in. Raises ReferenceInvalid, and the errors of kube."""
    chart = work.spec.chart
    return ChartSource(
        work.repository,
        chart.insecure,
        await _credentials(work, chart.secret_ref, chart_name) if chart.secret_ref is not None else None,
        await named_tls(work, chart.cert_secret_ref, field=CERTIFICATES),
    )


async def _credentials(work: Work, named: LocalReference, chart_name: str) -> Credentials | None:
    if work.repository.startswith("oci://"):
        host, _, folder = work.repository.removeprefix("oci://").strip("/").partition("/")
        try:
            chart = ImageReference(host, f"{folder}/{chart_name}".strip("/"))
        except OCIError:
            # That it is no place in a registry, the listing of it tells better.
            return None
        logins = await named_logins(work, named, chart, field=LOGIN)
        if not logins:
            raise ReferenceInvalid(
                LOGIN,
                f"Secret {named.name} has no login for {host}",
                f"Add one for {host} to its docker configuration.",
            )
        return logins[0]
    data = await read_secret(work, named.name, field=LOGIN)
    mask_login(work, data)
    try:
        return Credentials(data["username"].decode(), data["password"].decode())
    except (LookupError, UnicodeDecodeError) as error:
        raise ReferenceInvalid(
            LOGIN,
            f"Secret {named.name} has no username and password",
            "Give it the keys username and password.",
        ) from error


def repository_finding(error: RepositoryError, phase: Phase) -> Finding:
    """Give the finding for a repository that does not give what is asked for; not for transient errors."""
    names: dict[type[Exception], tuple[FindingName, str]] = {
        ChartNotListed: (
            FindingName.CHART_NOT_FOUND,
            "Set spec.chart.name and spec.version to what the repository has.",
        ),
        RepositoryDenied: (
            FindingName.REPOSITORY_DENIED,
            f"Set spec.chart.repository to one that may be read, {LOGIN} to a Secret with a login, or {CERTIFICATES} "
            "to one with ca.crt or a client certificate.",
        ),
        RepositoryInvalid: (FindingName.REPOSITORY_INVALID, "Set spec.chart.repository to a chart repository."),
    }
    name, remedy = names[type(error)]
    return Finding(name=name, severity=Severity.ERROR, phase=phase, message=str(error), remedy=remedy)
