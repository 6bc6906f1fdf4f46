"""YAML as Kubernetes reads it: what comes out is what JSON can say."""

import re

import yaml

__all__ = ["KubernetesLoader", "is_deeper_than"]

_KEPT_TAGS = {"tag:yaml.org,2002:bool", "tag:yaml.org,2002:null"}


class KubernetesLoader(yaml.CSafeLoader):
    """The safe loader, with the scalars that Kubernetes' own YAML reader knows: no dates, no times of day, no ``=``."""


# A copy for this class: the resolvers of the loaders are shared otherwise.
KubernetesLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag in _KEPT_TAGS]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
KubernetesLoader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)$"),
    list("-+0123456789"),
)
KubernetesLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?$"),
    list("-+0123456789."),
)


def is_deeper_than(text: str, levels: int) -> bool:
    """Tell whether YAML is nested deeper, by events, which take no stack: the C loader dies of deep nesting.

    Raises yaml.YAMLError for what is no YAML.
    """
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > levels:
            return True
    return False
