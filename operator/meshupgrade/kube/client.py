"""The client: plain dicts over kubernetes.aio's ApiClient, paths from discovery per group and version.

Typed models refuse fields that they do not know, so a newer API server would break the reading of its objects; and
a full discovery costs a request per group, where only a handful of kinds is ever asked for.
"""

import asyncio
import contextlib
import gc
import json
import math
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration

from meshupgrade.api.v1alpha1.names import FIELD_MANAGER
from meshupgrade.kube.errors import Gone, KindNotServed, KubeError, NotFound, Unreachable, from_status

__all__ = ["Kube", "ObjectRef", "Page", "crd_ref"]

Object = dict[str, Any]

REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=5)
PAGE = 200


@dataclass(frozen=True, order=True)
class ObjectRef:
    """Names one object; ``namespace`` is None for cluster-scoped ones."""

    api_version: str
    kind: str
    name: str
    namespace: str | None = None

    @classmethod
    def of(cls, obj: Mapping[str, Any], default_namespace: str | None = None) -> Self:
        """Give the reference to an object as it stands in a manifest."""
        metadata = obj["metadata"]
        return cls(obj["apiVersion"], obj["kind"], metadata["name"], metadata.get("namespace") or default_namespace)

    def __str__(self) -> str:
        place = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind} {place}{self.name}"


def crd_ref(name: str) -> ObjectRef:
    """Give the reference to a CustomResourceDefinition."""
    return ObjectRef("apiextensions.k8s.io/v1", "CustomResourceDefinition", name)


@dataclass(frozen=True)
class Page:
    """A part of a list."""

    items: Sequence[Object]
    token: str | None
    """Names the next page; None after the last one."""

    version: str = ""
    """The resourceVersion of the list, from which on it can be watched."""


@dataclass(frozen=True)
class _Resource:
    plural: str
    namespaced: bool


class Kube:
    """A client of one cluster. Every call raises a KubeError of meshupgrade.kube.errors, and nothing else."""

    def __init__(self, configuration: Configuration, scrub: Callable[[str], str] = str) -> None:
        """``scrub`` is given what the API server says of an error, and the logs of Pods, before anybody else."""
        self._api = ApiClient(configuration)
        self._scrub = scrub
        self.requests = 0
        """How many requests were made, watches included."""

        self._resources: dict[str, dict[str, _Resource]] = {}
        self._discovering: dict[str, asyncio.Lock] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._api.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> bytes:
        """Make one request and give the body of its answer."""
        if query:
            path = f"{path}?{urlencode(query)}"
        self.requests += 1
        try:
            # The body is plain JSON already, and is kept from being copied node by node.
            method, url, headers, _, _ = await self._api.param_serialize(
                method,
                path,
                header_params={"Accept": accept, "Content-Type": content_type},
                auth_settings=["BearerToken"],
            )
            response = await self._api.call_api(method, url, headers, body, _request_timeout=REQUEST_TIMEOUT)
            data: bytes = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(f"the API server does not answer: {error or type(error).__name__}") from error
        if not 200 <= response.status <= 299:
            raise from_status(response.status, _status_body(self._scrub(data.decode("utf-8", "replace"))))
        return data

    async def json(self, method: str, path: str, **options: Any) -> Object:
        """Make one request and give its answer as an object."""
        return _parsed(await self.request(method, path, **options))

    async def server_version(self) -> str:
        """Give the version of the API server, such as v1.37.2."""
        return str((await self.json("GET", "/version"))["gitVersion"])

    async def path(self, api_version: str, kind: str, namespace: str | None, name: str | None = None) -> str:
        """Give the path of an object or of a list. Raises KindNotServed."""
        resource = await self._resource(api_version, kind)
        path = _group_path(api_version)
        if resource.namespaced and namespace:
            path += f"/namespaces/{namespace}"
        path += f"/{resource.plural}"
        return f"{path}/{name}" if name else path

    async def is_namespaced(self, api_version: str, kind: str) -> bool:
        """Tell whether objects of the kind live in a namespace. Raises KindNotServed."""
        return (await self._resource(api_version, kind)).namespaced

    async def placed(self, ref: ObjectRef) -> ObjectRef:
        """Give the reference as its kind is served: without a namespace where it has none. Raises KindNotServed."""
        namespaced = await self.is_namespaced(ref.api_version, ref.kind)
        return ref if namespaced else replace(ref, namespace=None)

    async def get(self, ref: ObjectRef) -> Object:
        """Give the object. Raises NotFound, KindNotServed."""
        return await self.json("GET", await self.path(ref.api_version, ref.kind, ref.namespace, ref.name))

    async def find(self, ref: ObjectRef) -> Object | None:
        """Give the object, or None when it, or its kind, is not there."""
        try:
            return await self.get(ref)
        except (NotFound, KindNotServed):
            return None

    async def list_objects(
        self,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        *,
        labels: str | None = None,
        fields: str | None = None,
        metadata_only: bool = False,
    ) -> AsyncIterator[Object]:
        """Yield the objects, page by page. Raises KindNotServed."""
        pages = self.pages(api_version, kind, namespace, labels=labels, fields=fields, metadata_only=metadata_only)
        async for page in pages:
            for item in page.items:
                yield item

    async def pages(
        self,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        *,
        limit: int = PAGE,
        token: str | None = None,
        labels: str | None = None,
        fields: str | None = None,
        metadata_only: bool = False,
    ) -> AsyncIterator[Page]:
        """Yield the objects page by page, from the beginning or from where the token of an earlier page says.

        A list that takes longer than the API server remembers its state goes on with what is there now: objects that
        came meanwhile may be missing, those that were there all the time are not. Raises KindNotServed, and Gone for
        a token that is of no use at all.
        """
        path = await self.path(api_version, kind, namespace)
        query = {"limit": str(limit)}
        if labels:
            query["labelSelector"] = labels
        if fields:
            query["fieldSelector"] = fields
        accept = "application/json"
        if metadata_only:
            accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
        while True:
            if token:
                query["continue"] = token
            try:
                answer = await self.json("GET", path, query=query, accept=accept)
            except Gone as error:
                if error.continue_token is None or error.continue_token == token:
                    raise
                token = error.continue_token
                continue
            token = answer["metadata"].get("continue") or None
            items = [{**item, "apiVersion": api_version, "kind": kind} for item in answer.get("items") or []]
            version = str(answer["metadata"].get("resourceVersion") or "")
            # Who drops a page before the next one never has two of them in memory.
            del answer
            yield Page(items, token, version)
            del items
            if token is None:
                return

    async def watch(
        self,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        *,
        since: str,
        seconds: float,
        labels: str | None = None,
        fields: str | None = None,
    ) -> AsyncIterator[tuple[str, Object]]:
        """Yield what changes after the resourceVersion ``since``, as (ADDED, MODIFIED or DELETED, object).

        It ends after ``seconds`` at the latest. Raises Rejected (410) when ``since`` is too long ago.
        """
        query = {"watch": "true", "resourceVersion": since, "timeoutSeconds": str(max(1, math.ceil(seconds)))}
        if labels:
            query["labelSelector"] = labels
        if fields:
            query["fieldSelector"] = fields
        path = f"{await self.path(api_version, kind, namespace)}?{urlencode(query)}"
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=5)
        serialized = await self._api.param_serialize(
            "GET", path, header_params={"Accept": "application/json"}, auth_settings=["BearerToken"]
        )
        self.requests += 1
        try:
            answer = await self._api.call_api(*serialized, _request_timeout=timeout)
            with _ended_at_once(answer.response):
                if answer.status != HTTPStatus.OK:
                    raise from_status(answer.status, _status_body(await answer.read()))
                async for line in _lines(answer.response.content):
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise from_status(int(event["object"].get("code") or 0), event["object"])
                    yield event["type"], event["object"]
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError):
                return  # its time is over; a connection that is not made in time is another error
            raise Unreachable(f"the API server does not answer: {error or type(error).__name__}") from error

    async def apply(
        self,
        obj: Mapping[str, Any],
        *,
        namespace: str | None = None,
        manager: str = FIELD_MANAGER,
        force: bool = True,
        dry_run: bool = False,
        subresource: str | None = None,
    ) -> Object:
        """Server-side apply the object and give what it became, or would become."""
        ref = ObjectRef.of(obj, namespace)
        path = await self.path(ref.api_version, ref.kind, ref.namespace, ref.name)
        if subresource:
            path = f"{path}/{subresource}"
        query = {"fieldManager": manager, "force": "true" if force else "false"}
        if dry_run:
            query["dryRun"] = "All"
        return await self.json("PATCH", path, query=query, body=dict(obj), content_type="application/apply-patch+yaml")

    async def create(self, obj: Mapping[str, Any], *, manager: str = FIELD_MANAGER, dry_run: bool = False) -> Object:
        """Create the object, and give what it became, or would become. Raises Conflict when one of its name is there.

        It has a name, or a generateName.
        """
        path = await self.path(obj["apiVersion"], obj["kind"], obj["metadata"].get("namespace"))
        query = {"fieldManager": manager} | ({"dryRun": "All"} if dry_run else {})
        return await self.json("POST", path, query=query, body=dict(obj))

    async def evict(self, namespace: str, pod: str, *, uid: str) -> None:
        """Evict exactly the Pod with that uid; one that is gone is no error.

        Raises EvictionForbidden when a PodDisruptionBudget does not allow it now, and Conflict for another Pod.
        """
        metadata = {"name": pod, "namespace": namespace}
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": metadata,
            "deleteOptions": {"preconditions": {"uid": uid}},
        }
        with contextlib.suppress(NotFound):
            await self.request("POST", f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction", body=body)

    async def merge_patch(
        self,
        ref: ObjectRef,
        patch: Mapping[str, Any],
        *,
        dry_run: bool = False,
        manager: str = FIELD_MANAGER,
        subresource: str | None = None,
    ) -> Object:
        """Apply a JSON merge patch (RFC 7386) and give what the object became, or would become."""
        query = {"fieldManager": manager} | ({"dryRun": "All"} if dry_run else {})
        path = await self.path(ref.api_version, ref.kind, ref.namespace, ref.name)
        if subresource:
            path = f"{path}/{subresource}"
        return await self.json("PATCH", path, query=query, body=patch, content_type="application/merge-patch+json")

    async def json_patch(
        self,
        ref: ObjectRef,
        operations: Sequence[Mapping[str, Any]],
        *,
        manager: str = FIELD_MANAGER,
        dry_run: bool = False,
    ) -> Object:
        """Apply a JSON patch (RFC 6902) and give what the object became, or would become."""
        path = await self.path(ref.api_version, ref.kind, ref.namespace, ref.name)
        query = {"fieldManager": manager} | ({"dryRun": "All"} if dry_run else {})
        body = [dict(operation) for operation in operations]
        return await self.json("PATCH", path, query=query, body=body, content_type="application/json-patch+json")

    async def delete(
        self, ref: ObjectRef, *, uid: str, resource_version: str | None = None, propagation: str = "Background"
    ) -> None:
        """Delete exactly the object with that uid; one that is gone is no error.

        Raises Conflict for another, and for one that was changed since ``resource_version``.
        """
        path = await self.path(ref.api_version, ref.kind, ref.namespace, ref.name)
        preconditions = {"uid": uid} | ({"resourceVersion": resource_version} if resource_version else {})
        body = {"preconditions": preconditions, "propagationPolicy": propagation}
        try:
            await self.request("DELETE", path, body=body)
        except NotFound:
            return

    async def pod_log(self, namespace: str, pod: str, container: str, *, previous: bool = False) -> str:
        """Give the last lines of a container's log; empty when there is none to be had."""
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        query = {"container": container, "tailLines": "20", "limitBytes": "65536"}
        if previous:
            query["previous"] = "true"
        try:
            data = await self.request("GET", path, query=query, accept="*/*")
        except KubeError:
            return ""
        return self._scrub(data.decode("utf-8", "replace"))

    def forget_discovery(self, groups: Collection[str]) -> None:
        """Forget which kinds of these API groups are served; for after CRDs changed."""
        for api_version in [known for known in self._resources if known.partition("/")[0] in groups]:
            del self._resources[api_version]

    async def _resource(self, api_version: str, kind: str) -> _Resource:
        known = self._resources.get(api_version)
        if known is None or kind not in known:
            # Many ask at once after CRDs changed, and one answer is enough for them.
            async with self._discovering.setdefault(api_version, asyncio.Lock()):
                current = self._resources.get(api_version)
                if current is None or current is known:
                    current = self._resources[api_version] = await self._discover(api_version)
                known = current
        if kind not in known:
            raise KindNotServed(api_version, kind)
        return known[kind]

    async def _discover(self, api_version: str) -> dict[str, _Resource]:
        try:
            answer = await self.json("GET", _group_path(api_version))
        except NotFound:
            return {}
        return {
            resource["kind"]: _Resource(resource["name"], resource["namespaced"])
            for resource in answer.get("resources") or []
            if "/" not in resource["name"]
        }


def _parsed(data: bytes) -> Object:
    """Read an object.

    A tree of JSON has no cycles to be found, and to look for them meanwhile would take half of the time.
    """
    looking = gc.isenabled()
    gc.disable()
    try:
        tree: Object = json.loads(data)
    finally:
        if looking:
            gc.enable()
    return tree


@contextlib.contextmanager
def _ended_at_once(response: aiohttp.ClientResponse) -> Iterator[None]:
    """Cut the connection on leaving: there is always more to come, so a polite end would wait for the API server."""
    try:
        yield
    finally:
        if (connection := response.connection) is not None and connection.transport is not None:
            connection.transport.abort()
        response.close()


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Yield lines of any length: aiohttp's own refuse those beyond 128 KiB, which an object can be."""
    begun = bytearray()
    async for chunk in content.iter_any():
        begun += chunk
        if b"\n" in chunk:
            *whole, rest = begun.split(b"\n")
            for line in whole:
                yield bytes(line)
            begun = rest


def _group_path(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def _status_body(data: str) -> Mapping[str, Any]:
    try:
        body = json.loads(data)
    except ValueError:
        return {"message": data[:200]}
    return body if isinstance(body, Mapping) else {}
