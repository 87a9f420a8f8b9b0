"""What is measured is what the lab promises, and fits into a machine."""

import pytest

from lockstream.contrast.patterns.in_mpi import PATTERNS
from lockstream.contrast.patterns.payload import delivered_bytes
from lockstream.contrast.patterns.plan import FULL, MOST_EXCHANGE_BYTES, QUICK, SETTINGS, Plan, sizes_of
from lockstream.contrast.rig import crowd


@pytest.mark.parametrize("plan", [QUICK, FULL])
def test_all_patterns_are_measured_and_pairs_once(plan: Plan) -> None:
    asked = {participants: sizes_of(plan, participants) for participants in plan.participants}
    assert list(asked[2]) == list(PATTERNS)
    assert all(set(PATTERNS) - set(sizes) == {"point-to-point"} for n, sizes in asked.items() if n > 2)


@pytest.mark.parametrize("plan", [QUICK, FULL])
def test_no_exchange_is_too_large_and_no_size_comes_twice(plan: Plan) -> None:
    for participants in plan.participants:
        for pattern, sizes in sizes_of(plan, participants).items():
            assert all(
                delivered_bytes(pattern, nbytes, participants) <= MOST_EXCHANGE_BYTES for nbytes in sizes
            )
            assert len(set(sizes)) == len(sizes) > 0


def test_the_full_plan_goes_from_one_byte_to_64_mib_and_up_to_8_participants() -> None:
    sizes = sizes_of(FULL, 2)
    assert (min(sizes["broadcast"]), max(sizes["broadcast"])) == (1, 64 << 20)
    assert min(sizes["reduce"]) == 8
    assert sizes["barrier"] == (0,)
    assert FULL.participants == (2, 4, 8)


def test_every_dimension_has_its_usual_setting_first() -> None:
    usual = {way.dimension: way for way in reversed(SETTINGS)}
    assert list(reversed(usual)) == ["acks", "linger", "compression", "fsync"]
    assert all(not way.producer and not way.topic for way in usual.values())


def test_more_ranks_than_cores_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lockstream.contrast.rig.usable_cores", lambda: 2)
    assert crowd(2) == ""
    assert crowd(8) == "8 ranks on 2 cores take turns"
