"""Build the tools of one pinned Go module, with a sign of life on the screen."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from .errors import BuildFailed, GoUnavailable
from .process import Child, tail

__all__ = ["GoModule", "build", "cache_root", "find_go", "locked", "module_dir", "parse_version"]

MODULES = Path(__file__).with_name("go")
PROGRESS_SECONDS = 10.0
LOCK_POLL_SECONDS = 0.1
#: Packages whose last path element is not the name that the program is known by.
PROGRAM_NAMES = {"go.etcd.io/etcd/server/v3": "etcd"}

Progress = Callable[[str], None]


def parse_version(text: str) -> tuple[int, ...]:
    """The first dotted number in `text` as a tuple: ``go1.26.8`` gives (1, 26, 8). Raises ValueError without one."""
    match = re.search(r"\d+(?:\.\d+)+", text)
    if match is None:
        raise ValueError(f"no version in {text!r}")
    return tuple(int(part) for part in match.group().split("."))


def cache_root() -> Path:
    """The folder for built binaries: outside the tree, so that a fresh clone finds those of the last one."""
    chosen = os.environ.get("MESHUPGRADE_RIG_CACHE")
    if chosen:
        return Path(chosen)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "meshupgrade" / "rig"


@dataclass(frozen=True)
class GoModule:
    """One of the pinned modules, read from its go.mod."""

    name: str

    @property
    def folder(self) -> Path:
        """The folder with go.mod and go.sum."""
        return MODULES / self.name

    def _go_mod(self) -> str:
        return (self.folder / "go.mod").read_text()

    @property
    def go(self) -> tuple[int, ...]:
        """The oldest Go that builds it, as its go directive says."""
        return parse_version(re.findall(r"(?m)^go (\S+)$", self._go_mod())[0])

    def required(self, module: str) -> str:
        """The version of a required module, with its leading v. Raises KeyError when go.mod does not require it."""
        match = re.search(rf"(?m)^\s*(?:require )?{re.escape(module)} (v\S+)", self._go_mod())
        if match is None:
            raise KeyError(module)
        return match.group(1)

    def tools(self) -> dict[str, str]:
        """The packages of its tool directives, by the name of the program that each one builds."""
        block = re.findall(r"(?ms)^tool \(\n(.*?)^\)", self._go_mod())
        packages = block[0].split() if block else re.findall(r"(?m)^tool (\S+)$", self._go_mod())
        return {_program_name(package): package for package in packages}

    def flags(self) -> list[str]:
        """The flags of go build: small binaries, and a Kubernetes that knows its version (charts ask for it)."""
        linker = ["-s", "-w"]
        if "kube-apiserver" in self.tools():
            version = self.required("k8s.io/kubernetes")
            major, minor = parse_version(version)[:2]
            for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
                facts = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
                linker += [f"-X {package}.{key}={value}" for key, value in facts.items()]
        return ["-trimpath", "-ldflags", " ".join(linker)]

    def cache(self) -> Path:
        """The folder of its binaries, named by everything that decides about their content."""
        digest = hashlib.sha256()
        for part in (self._go_mod(), (self.folder / "go.sum").read_text(), *self.flags()):
            digest.update(part.encode() + b"\0")
        return cache_root() / f"{self.name}-{digest.hexdigest()[:16]}"


def _program_name(package: str) -> str:
    return PROGRAM_NAMES.get(package, package.rsplit("/", 1)[-1])


def find_go(module: GoModule) -> Path | None:
    """The go command that can build `module`, or None when there is none or it is too old."""
    found = shutil.which("go")
    if found is None:
        return None
    # Asked inside the module, a Go that can fetch the right toolchain by itself answers with that one's version.
    answer = subprocess.run([found, "env", "GOVERSION"], cwd=module.folder, capture_output=True, text=True, check=False)
    if answer.returncode != 0 or parse_version(answer.stdout) < module.go:
        return None
    return Path(found)


def module_dir(module: GoModule, dependency: str) -> Path:
    """The folder with the sources of a module that `module` requires, downloaded if need be.

    Raises GoUnavailable without Go, BuildFailed when go cannot download it.
    """
    go = find_go(module)
    if go is None:
        raise GoUnavailable(f"the sources of {dependency} are read with Go, and there is none that is new enough")
    for command in (["mod", "download", dependency], ["list", "-m", "-f", "{{.Dir}}", dependency]):
        answer = subprocess.run([go, *command], cwd=module.folder, capture_output=True, text=True, check=False)
        if answer.returncode != 0:
            raise BuildFailed(f"go {' '.join(command)} failed:\n{answer.stderr}")
    return Path(answer.stdout.strip())


@contextmanager
def locked(path: Path, progress: Progress) -> Iterator[None]:
    """Hold an exclusive lock on a file, shared with other processes; waits for it, and says so now and then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        told = float("-inf")
        while not _try_lock(handle):
            if time.monotonic() - told > PROGRESS_SECONDS:
                told = time.monotonic()
                progress(f"another process is at work on {path.stem}, waiting for it")
            time.sleep(LOCK_POLL_SECONDS)
        yield


def _try_lock(handle: TextIO) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def build(module: GoModule, programs: Sequence[str], progress: Progress) -> dict[str, Path]:
    """The paths of the named programs of `module`, built now unless they are in the cache.

    Two builds at once do the work once; a program appears in the cache whole or not at all. Raises GoUnavailable and
    BuildFailed.
    """
    cache = module.cache()
    wanted = {name: cache / name for name in programs}
    if all(path.exists() for path in wanted.values()):
        return wanted
    with locked(cache.with_name(cache.name + ".lock"), progress):
        missing = [name for name, path in wanted.items() if not path.exists()]
        if missing:
            _build_now(module, missing, cache, progress)
    return wanted


def _build_now(module: GoModule, programs: Sequence[str], cache: Path, progress: Progress) -> None:
    go = find_go(module)
    if go is None:
        needed = ".".join(map(str, module.go))
        raise GoUnavailable(f"{', '.join(programs)} must be built, and that needs Go {needed} or newer")
    cache.mkdir(parents=True, exist_ok=True)
    packages = [module.tools()[name] for name in programs]
    # In the cache's own folder, so that the rename never crosses a file system.
    with tempfile.TemporaryDirectory(prefix=".building-", dir=cache.parent) as scratch:
        output = Path(scratch, "bin")
        output.mkdir()
        _run(go, ["build", *module.flags(), "-o", f"{output}/", *packages], module, f"{', '.join(programs)}", progress)
        for name, package in zip(programs, packages, strict=True):
            built = output / next(part for part in reversed(package.split("/")) if not re.fullmatch(r"v\d+", part))
            built.replace(cache / name)


def _run(go: Path, arguments: list[str], module: GoModule, what: str, progress: Progress) -> None:
    started = time.monotonic()
    progress(f"building {module.name} ({what}), once for this version")
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch, "log")
        environment = {**os.environ, "CGO_ENABLED": "0"}
        child = Child.start("go build", [go, *arguments], log, env=environment, cwd=module.folder)
        try:
            while not child.reap(PROGRESS_SECONDS):
                progress(f"building {module.name}: {time.monotonic() - started:.0f} s")
        finally:
            child.stop()
        if child.exit_code() != 0:
            raise BuildFailed(f"go build of {module.name} failed:\n{tail(log)}")
    progress(f"built {module.name} in {time.monotonic() - started:.0f} s")
