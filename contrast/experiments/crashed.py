"""One of four participants is killed in the middle."""

import time
import uuid
from contextlib import ExitStack
from pathlib import Path

from lockstream.contrast.experiments.journal import noted
from lockstream.contrast.experiments.rounds import Value, conclude, span
from lockstream.contrast.experiments.sending import RECEIVER, SENDER, to_receive, to_send
from lockstream.contrast.experiments.starting import await_ready
from lockstream.contrast.results import Experiment, Outcome
from lockstream.contrast.rig import Rig

Notes = list[tuple[int, float]]

WORK_SECONDS = 0.005
PARTICIPANTS = 4
LIMIT_SECONDS = 90.0
FINISHED = "participants that finished, of the three not killed"
EXIT_CODE = "exit code of the killed one's program"
DONE = "steps done by the others"
AGAIN = "steps done twice after the restart"
MISSING = "steps never done, after the restart"
BACK = "restart until the first new step is done"


def run(rig: Rig) -> Experiment:
    """Kill one, look at the others, start it again."""
    steps = 40 if rig.is_quick else 200

    def measure() -> list[Outcome]:
        return [*_in_mpi(rig, steps), *_in_kafka(rig, steps)]

    return conclude(
        rig,
        measure,
        _say,
        name="crashed-participant",
        title="One is killed",
        question="One of four participants is killed half way: who stops, what is lost, can it come back?",
        method=(
            f"{steps} steps, and SIGKILL for one of four participants in step {steps // 2}: of four ranks that meet "
            f"in an Allreduce, and of four readers of a topic that keep their place in it. What ended with "
            "it is started again. Each participant notes in a file which steps it has done; MPI's has no checkpoints."
        ),
    )


def _in_mpi(rig: Rig, steps: int) -> list[Outcome]:
    program, victim = "experiments.programs.steps_mpi", PARTICIPANTS - 1
    work = [WORK_SECONDS] * PARTICIPANTS
    asked = {"steps": steps, "work": work, "victim": victim, "dies_at": steps // 2}
    before, after = _folder(rig), _folder(rig)
    with rig.beside(program, {**asked, "journals": str(before)}, PARTICIPANTS) as job:
        code = job.child.wait(LIMIT_SECONDS)
    restarted = time.monotonic()
    rig.on_ranks(PARTICIPANTS, program, {**asked, "journals": str(after), "dies_at": -1})
    others = [noted(before / str(rank)) for rank in range(victim)]
    lives = [noted(folder / str(victim)) for folder in (before, after)]
    return _outcomes("MPI", steps, code, others, lives, restarted)


def _in_kafka(rig: Rig, steps: int) -> list[Outcome]:
    with rig.topic() as topic, ExitStack() as stack:
        asked = [
            to_receive(rig, topic, steps, work=WORK_SECONDS, keeps_place=True) for _ in range(PARTICIPANTS)
        ]
        *asked_others, asked_victim = asked
        others = [stack.enter_context(rig.beside(RECEIVER, one)) for one in asked_others]
        victim = stack.enter_context(rig.beside(RECEIVER, {**asked_victim, "dies_at": steps // 2}))
        await_ready(*others, victim)
        rig.alone(SENDER, to_send(rig, topic, steps, interval=2 * WORK_SECONDS))
        for other in others:
            other.answer(LIMIT_SECONDS)
        code = victim.child.wait(LIMIT_SECONDS)
        journal = Path(asked_victim["journal"])
        first, restarted = noted(journal), time.monotonic()
        rig.alone(RECEIVER, asked_victim)
        second = noted(journal)[len(first) :]
    return _outcomes(
        "Kafka",
        steps,
        code,
        [noted(Path(one["journal"])) for one in asked_others],
        [first, second],
        restarted,
    )


def _outcomes(
    subject: str, steps: int, code: int | None, others: list[Notes], lives: list[Notes], restarted: float
) -> list[Outcome]:
    """Return what both styles are asked; `lives` are the notes of the killed one before and after its restart."""
    first, second = ({number for number, _ in notes} for notes in lives)
    new = next((at - restarted for number, at in lives[1] if number not in first), None)
    done = min(len(notes) for notes in others)
    return [
        Outcome(subject=subject, quantity=EXIT_CODE, value=code, unit=""),
        Outcome(
            subject=subject, quantity=FINISHED, value=sum(len(notes) == steps for notes in others), unit=""
        ),
        Outcome(subject=subject, quantity=DONE, value=done, unit="steps"),
        Outcome(subject=subject, quantity=AGAIN, value=len(first & second), unit="steps"),
        Outcome(subject=subject, quantity=MISSING, value=steps - len(first | second), unit="steps"),
        Outcome(subject=subject, quantity=BACK, value=new, unit="s"),
    ]


def _folder(rig: Rig) -> Path:
    folder = rig.folder / f"steps-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    return folder


def _say(value: Value) -> str:
    def of(subject: str) -> str:
        return (
            f"{value(subject, FINISHED):.0f} of {PARTICIPANTS - 1} others finish, and the killed one, when it is "
            f"started again, is at its first new step after {span(value(subject, BACK))} (steps done "
            f"twice: {value(subject, AGAIN):.0f}, never: {value(subject, MISSING):.0f})"
        )

    return f"In MPI {of('MPI')}; in Kafka {of('Kafka')}."
