"""What the engine takes in from the watch, before it works on anything."""

from typing import cast

import pytest

from meshupgrade.api.v1alpha1.names import RECONCILE_REQUESTED_AT
from meshupgrade.engine.engine import Engine
from meshupgrade.engine.queue import MeshKey
from meshupgrade.phases.shape import Tools
from tests.unit.engine.examples import mesh_upgrade

KEY = MeshKey("osm-system", "osm")


@pytest.fixture
def engine() -> Engine:
    # It works on nothing here, so there need not be tools.
    return Engine(cast("Tools", None))


async def queued(engine: Engine) -> list[MeshKey]:
    """Take the keys out of the queue, as workers that are done at once do."""
    keys = []
    while engine._queue._waiting:
        keys.append(await engine._queue.get())
        engine._queue.done(keys[-1])
    return keys


async def test_an_object_is_worked_on_when_it_is_first_seen(engine: Engine) -> None:
    engine.observe(mesh_upgrade(), deleted=False)
    assert await queued(engine) == [KEY]


async def test_the_operators_own_writes_start_nothing(engine: Engine) -> None:
    engine.observe(mesh_upgrade(), deleted=False)
    await queued(engine)
    written = mesh_upgrade(status={"phase": "Completed"}, resourceVersion="9", finalizers=["meshupgrade.io/x"])
    engine.observe(written, deleted=False)
    assert await queued(engine) == []


async def test_a_new_generation_or_request_is_worked_on(engine: Engine) -> None:
    engine.observe(mesh_upgrade(), deleted=False)
    engine.observe(mesh_upgrade(generation=4), deleted=False)
    assert await queued(engine) == [KEY]
    engine.observe(mesh_upgrade(generation=4, annotations={RECONCILE_REQUESTED_AT: "now"}), deleted=False)
    assert await queued(engine) == [KEY]


async def test_a_deleted_object_wakes_its_mesh_and_its_name_can_come_again(engine: Engine) -> None:
    engine.observe(mesh_upgrade(), deleted=False)
    await queued(engine)
    engine.observe(mesh_upgrade(), deleted=True)
    assert await queued(engine) == [KEY]
    engine.observe(mesh_upgrade(), deleted=False)
    assert await queued(engine) == [KEY]


async def test_two_objects_of_one_mesh_are_one_key(engine: Engine) -> None:
    engine.observe(mesh_upgrade(), deleted=False)
    engine.observe(mesh_upgrade(name="second", uid="u2"), deleted=False)
    assert await queued(engine) == [KEY]


async def test_an_object_of_no_known_mesh_is_left_alone(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    engine.observe(mesh_upgrade(spec={"mesh": {"distribution": "istio"}}), deleted=False)
    assert await queued(engine) == []
    assert "names no supported mesh" in caplog.text
