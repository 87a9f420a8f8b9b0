"""The errors of the loose side.

::

    LockstreamError
    ├── UserError
    │   ├── ArchiveRefused          the archive and the log do not belong together, or records are gone
    │   ├── ArchiveLocked           another archiver writes this run
    │   ├── NotAnArchive            no archive of a run at that path
    │   └── NoSuchRun               Kafka has no topic of that run
    ├── ArchiveUnwritable               exit 75: no room, read-only or gone; the archiver can be resumed
    ├── ArchiveDamaged              a sealed file that is not what was sealed
    └── VerificationFailed          exit 3: `archive verify` found faults
"""

from lockstream.bridge.errors import LockstreamError, UserError


class ArchiveRefused(UserError):
    """Going on would mix two logs or hide a loss; the text says what to do."""


class ArchiveLocked(UserError):
    """Another archiver holds the lock of this run and partition."""


class NotAnArchive(UserError, FileNotFoundError):
    """There is no archive of a run at that path."""


class NoSuchRun(UserError, LookupError):
    """Kafka has no topic of that run."""


class ArchiveUnwritable(LockstreamError, OSError):
    """The archive's file system takes no more; what is sealed is safe, the rest is still in Kafka."""

    exit_code = 75


class ArchiveDamaged(LockstreamError):
    """A sealed file that cannot be read or contradicts itself."""


class VerificationFailed(LockstreamError):
    """Something is lost, duplicated or torn."""

    exit_code = 3
