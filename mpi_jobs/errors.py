"""The errors of the lockstep side.

::

    LockstreamError
    ├── StateNotFinite      exit 1: the simulation blew up
    ├── CheckpointDamaged   exit 1: a checkpoint is not what was written
    └── UserError
        ├── NoCheckpoint    exit 2: there is nothing to resume from
        ├── UnknownModel    exit 2: no such model is installed
        └── WrongWorld      exit 2: several tasks, each in a world of its own

All of them are raised on every rank alike.
"""

import difflib
from collections.abc import Sequence

from lockstream.bridge.errors import ConfigurationError, LockstreamError, UserError


class StateNotFinite(LockstreamError, ArithmeticError):
    """The state has a NaN or an infinity in it.

    Parameters
    ----------
    field
        Name of the field.
    rank
        Lowest rank that owns such an element.
    step
        Step at which it was found.
    last_good
        Latest step at which the state was seen to be finite.
    """

    def __init__(self, field: str, rank: int, step: int, last_good: int) -> None:
        super().__init__(
            f"the simulation blew up: field {field!r} is not finite on rank {rank} at step {step} "
            f"(at step {last_good} all was well); try a smaller model.dt or look at the initial state"
        )
        self.field, self.rank, self.step, self.last_good = field, rank, step, last_good


class CheckpointDamaged(LockstreamError):
    """A checkpoint is not what was written.

    Parameters
    ----------
    path
        The checkpoint.
    what
        What is wrong with it.
    """

    def __init__(self, path: object, what: str) -> None:
        super().__init__(f"checkpoint {path} is damaged: {what}")


class NoCheckpoint(UserError, FileNotFoundError):
    """There is nothing to resume from.

    Parameters
    ----------
    folder
        Where it should be.
    notes
        What is wrong with the checkpoints that are there.
    """

    def __init__(self, folder: object, notes: Sequence[str]) -> None:
        found = "".join(f"; {note}" for note in notes)
        cure = "start without --resume, or with --resume=auto to begin anew where there is none"
        if notes:  # to give up what they hold is for people to decide
            cure = (
                "bring them back from a copy, or remove the damaged folders and begin anew with --resume=auto"
            )
        super().__init__(f"{folder}: no sound checkpoint is there{found}; {cure}")


class UnknownModel(ConfigurationError):
    """No model of that name is installed."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        cure = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known are {', '.join(known)}"
        super().__init__("run.model", name, f"no such model is installed; {cure}")


class WrongWorld(UserError, RuntimeError):
    """There are several tasks, but each finds itself alone."""

    def __init__(self, tasks: int) -> None:
        super().__init__(
            f"there are {tasks} tasks, but MPI sees a world of one; start it with the mpirun that belongs to "
            "mpi4py's MPI library, or with 'srun --mpi=pmi2' (MPICH) or 'srun --mpi=pmix' (Open MPI); "
            "for a single rank use 'srun -n 1'"
        )
