import os

from lockstream.mpi_jobs.hardware import processor_name, usable_cores


def test_the_processor_has_a_name() -> None:
    assert processor_name().strip() == processor_name() != ""


def test_only_cores_that_may_be_used_count() -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert usable_cores() == len(before)
