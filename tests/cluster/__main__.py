"""The rig from a shell: ``python -m tests.cluster build|up|down``."""

import argparse
import sys
from pathlib import Path

from .binaries import ensure_binaries
from .errors import RigError
from .holder import ROOT, bring_down, bring_up, hold

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 when it did what was asked, 1 with a message on stderr when it could not, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description="a real control plane on this machine")
    commands = parser.add_subparsers(dest="command", required=True, metavar="build|up|down")
    commands.add_parser("build", help="build the programs of the rig, unless they are in the cache")
    for name, text in (
        ("up", "start a cluster that runs until down"),
        ("down", "stop it and remove its folder"),
        ("hold", None),
    ):
        # Without a help text argparse keeps `hold` out of the list: nobody but `up` calls it.
        command = commands.add_parser(name, help=text) if text else commands.add_parser(name)
        command.add_argument(
            "--folder", type=Path, default=ROOT / ".cluster", help="its state and logs (default: .cluster)"
        )
    options = parser.parse_args(arguments)
    try:
        _run(options)
    except RigError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _run(options: argparse.Namespace) -> None:
    if options.command == "build":
        ensure_binaries(_say)
    elif options.command == "up":
        state = bring_up(options.folder.absolute(), _say)
        _say(f"export KUBECONFIG={state.kubeconfig}")
        _say(f"registry (plain http): {state.registry}")
    elif options.command == "down":
        bring_down(options.folder.absolute(), _say)
    else:
        hold(options.folder)


def _say(line: str) -> None:
    # Flushed, because a pipe or a CI log shows nothing of a ten-minute build otherwise.
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
