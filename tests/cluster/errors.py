"""What can go wrong in the rig.

RigError
├── GoUnavailable      the binaries must be built and there is no Go that can do it
├── BuildFailed        go build ended with an error
├── ChildFailed        a child process ended or did not get ready in time
│   └── PortTaken      it ended because somebody else was faster to take its port
└── NotSupported       asked of a cluster that cannot do it
"""

__all__ = ["BuildFailed", "ChildFailed", "GoUnavailable", "NotSupported", "PortTaken", "RigError"]


class RigError(Exception):
    """Anything that keeps the rig from doing what was asked; the message is for a person."""


class GoUnavailable(RigError):
    """Binaries are missing and no Go toolchain can build them."""


class BuildFailed(RigError):
    """``go build`` failed; the message ends with the last lines of its output."""


class ChildFailed(RigError):
    """A child process ended early or was not ready in time; the message ends with the last lines of its log."""


class PortTaken(ChildFailed):
    """The child's port was taken between choosing and using it; worth another try with another port."""


class NotSupported(RigError):
    """This cluster cannot do that, for example simulate nodes in an existing cluster."""
