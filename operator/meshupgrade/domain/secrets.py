"""Secret texts, and their removal from whatever goes to a status or a log.

A secret is looked for as it stands, line by line when it has several, and as JSON, Go, URLs and base64 write it: base64
also where it is only a part of what was encoded, as in the login of a registry.
"""

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

__all__ = ["MASK", "Secrets", "texts"]

MASK = "***"

SHORTEST = 4
"""Characters below which a text is no secret: to mask every "1" and "yes" would leave messages that nobody can read."""

WHOLE_WORD = 8
"""Characters below which a text is masked only where it stands by itself, and base64 of a part is not looked for."""

_COMMON = frozenset({"true", "false", "null", "none", "info", "debug", "warn", "error", "always", "default"})


class Secrets:
    """The secret texts of the runs under way: each run brings its own and takes them away again."""

    def __init__(self) -> None:
        self._by_owner: dict[str, _Masks] = {}

    def keep(self, owner: str, secrets: Iterable[str], public: Iterable[str] = ()) -> None:
        """Mask these texts from now on, besides those kept for the owner before.

        ``public`` names texts that everybody can read anyway, such as the release's name and the chart's own values:
        values files out of a Secret hold them too, and a message without them would tell nothing.
        """
        self._by_owner.setdefault(owner, _Masks()).add(secrets, public)

    def forget(self, owner: str) -> None:
        """Forget what was kept for the owner."""
        self._by_owner.pop(owner, None)

    def scrub(self, text: str) -> str:
        """Give the text with every secret masked."""
        for masks in self._by_owner.values():
            text = masks.apply(text)
        return text

    def scrub_tree(self, tree: Any) -> Any:
        """Give a JSON tree with the secrets masked in its sentences, which are the texts that have a blank in them.

        Names, enums and times have none, and the API would refuse them changed.
        """
        if isinstance(tree, Mapping):
            return {key: self.scrub_tree(value) for key, value in tree.items()}
        if isinstance(tree, list):
            return [self.scrub_tree(item) for item in tree]
        return self.scrub(tree) if isinstance(tree, str) and " " in tree else tree

    def scrub_all(self, tree: Any) -> Any:
        """Give a JSON tree with the secrets masked in every text of it, for trees that hold what users wrote."""
        if isinstance(tree, Mapping):
            return {key: self.scrub_all(value) for key, value in tree.items()}
        if isinstance(tree, list):
            return [self.scrub_all(item) for item in tree]
        return self.scrub(tree) if isinstance(tree, str) else tree


class _Masks:
    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._public: set[str] = set()
        self._anywhere: list[str] = []
        self._words: re.Pattern[str] | None = None

    def add(self, secrets: Iterable[str], public: Iterable[str]) -> None:
        self._secrets.update(secrets)
        self._public.update(public)
        parts = {part for secret in self._secrets - self._public for part in _parts(secret)}
        forms = {form for part in parts for form in _forms(part)}
        # The longest first: a part of a longer one must not go before the whole.
        ordered = sorted(forms, key=lambda form: (-len(form), form))
        self._anywhere = [form for form in ordered if len(form) >= WHOLE_WORD]
        words = "|".join(re.escape(form) for form in ordered if len(form) < WHOLE_WORD)
        self._words = re.compile(rf"(?<!\w)(?:{words})(?!\w)") if words else None

    def apply(self, text: str) -> str:
        for form in self._anywhere:
            if form in text:
                text = text.replace(form, MASK)
        return self._words.sub(MASK, text) if self._words else text


def texts(tree: Any) -> Iterator[str]:
    """Yield every leaf of a JSON tree as text; true, false and null are none."""
    if isinstance(tree, Mapping):
        for value in tree.values():
            yield from texts(value)
    elif isinstance(tree, list):
        for item in tree:
            yield from texts(item)
    elif isinstance(tree, str):
        yield tree
    elif tree is not None and not isinstance(tree, bool):
        yield str(tree)


def _parts(secret: str) -> Iterator[str]:
    """Yield the whole and its lines: what indents a key file, or cuts it, leaves lines."""
    for part in {secret, secret.strip(), *(line.strip() for line in secret.splitlines())}:
        if len(part) >= SHORTEST and part.lower() not in _COMMON and not part.startswith("-----"):
            yield part


def _forms(secret: str) -> Iterator[str]:
    in_json = json.dumps(secret, ensure_ascii=False)[1:-1]
    # Go writes these three in JSON as escapes; a JSON text in a JSON text is escaped twice.
    in_go = in_json.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    yield from {secret, in_json, in_go, json.dumps(in_json)[1:-1], json.dumps(secret)[1:-1]}
    yield from {quote(secret, safe=""), quote(secret), quote_plus(secret), secret.replace("'", "''")}
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        data = secret.encode()
        yield encode(data).decode().rstrip("=")
        if len(secret) < WHOLE_WORD:
            continue
        for shift in range(3):
            # Of what stands `shift` bytes into a group of three, the groups that hold nothing else.
            encoded = encode(bytes(shift) + data).decode()
            yield encoded[(0, 2, 3)[shift] : (len(data) + shift) * 8 // 6]
