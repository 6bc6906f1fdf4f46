"""What Path says of a lower version, and Preflight of the Risks that were accepted."""

import pytest

from meshupgrade.api.v1alpha1.findings import FindingName
from meshupgrade.phases.path import Path
from meshupgrade.phases.preflight import Preflight
from meshupgrade.phases.shape import Target
from tests.unit.phases.works import make_release, make_work


@pytest.mark.parametrize(
    ("before", "told"),
    [
        ("1.2.3", "Only 1.2.3, which was verified before it, can be gone back to: set spec.version to it."),
        ("", "history has none that is lower."),
    ],
)
async def test_a_downgrade_names_the_version_that_can_be_gone_back_to(before: str, told: str) -> None:
    work = make_work({"version": "1.1.0"}, live=make_release(version="1.2.4"))
    work.version_before = before
    (finding,) = (await Path().plan(work)).findings
    assert finding.name is FindingName.DOWNGRADE
    assert finding.remedy.startswith("Set spec.version to 1.2.4 or a newer one.")
    assert told in finding.remedy


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (frozenset(), ""),
        (frozenset({FindingName.BREAKING_CHANGE}), "; accepted: BreakingChange"),
        (frozenset({FindingName.FIELDS_PRUNED}), ""),
    ],
)
async def test_of_the_accepted_risks_those_are_named_that_were_found(found: frozenset[FindingName], told: str) -> None:
    work = make_work({"upgrade": {"acceptRisks": ["Prerelease", "BreakingChange"]}}, live=make_release())
    work.target = Target(None, "", None, make_release(), (), "")  # type: ignore[arg-type]
    work.risks = found
    message = (await Preflight().apply(work)).message
    assert message.partition("; accepted")[1:] == told.partition("; accepted")[1:]
    assert "Prerelease" not in message
