"""What is done to a workflow, and the figures that come of it: one run of one way each."""

import time
from collections.abc import Mapping

import msgspec

from lockstream.contrast.hybrid.serial import serial_results
from lockstream.contrast.hybrid.ways import Way, WorkflowStuck
from lockstream.contrast.hybrid.workflow import Plan
from lockstream.contrast.rig import Rig

Figures = Mapping[str, float]


def solve_fast(way: type[Way], rig: Rig, plan: Plan) -> Figures:
    """Compute as fast as it goes, and compare with what a serial run finds."""
    with way(rig, plan) as running:
        simulated = running.simulated()
        running.analysed()
        results = running.results
    expected = {(r.step, r.frame, r.histogram) for r in serial_results(plan)}
    return {
        "time to solution": results[-1].at - simulated.began,
        "time per step": (simulated.ended - simulated.began) / plan.steps,
        "frames as in a serial run": len(expected & {(r.step, r.frame, r.histogram) for r in results}),
    }


def slow_analysis(way: type[Way], rig: Rig, plan: Plan) -> Figures:
    """Run with an analysis that keeps up, then with one that does not."""
    with way(rig, msgspec.structs.replace(plan, analysis_seconds=0.0)) as running:
        simulated = running.simulated()
        running.analysed()
        usual = simulated.ended - simulated.began
    with way(rig, plan) as running:
        simulated = running.simulated()
        running.analysed()
        slowed, results = simulated.ended - simulated.began, running.results
    return {
        "simulation beside a quick analysis": usual,
        "simulation beside the slow one": slowed,
        "slowdown of the simulation": slowed / usual,
        "until the last frame is analysed": results[-1].at - simulated.began,
        "frames left when the simulation ended": sum(result.at > simulated.ended for result in results),
        "frames analysed": len(results),
    }


def crashed_analysis(way: type[Way], rig: Rig, plan: Plan) -> Figures:
    """Have the analysis killed in mid-run; when everything that goes on has ended, repair it."""
    with way(rig, plan) as running:
        is_finished = running.outlives()
        running.analysed()
        reached = max((entry.step for entry in running.published), default=0)
        before = len(running.results)
        began = time.monotonic()
        running.repair()
        running.simulated()
        running.analysed()
        repaired = running.results
    return {
        "simulation finished": float(is_finished),
        "frames analysed when all had ended": before,
        "frames analysed after the repair": len(repaired),
        "steps computed again": 0 if is_finished else reached,
        "time of the repair": repaired[-1].at - began,
    }


def added_analysis(way: type[Way], rig: Rig, plan: Plan, after: int) -> Figures:
    """Have one more analysis come when the first one has so many results."""
    with way(rig, plan) as running:
        running.wait_for_results(after)
        came = time.monotonic()
        running.join()
        running.simulated()
        running.analysed()
        past = {entry.step for entry in running.published if entry.step > 0 and entry.at < came}
        guest = running.guest_results
    if not guest:
        raise WorkflowStuck(f"{way.name}: the simulation ended before another analysis could join it")
    seen = {result.step for result in guest}
    return {
        "frames published before it came": len(past),
        "of these missed by it": len(past - seen),
        "frames analysed by it": len(seen),
        "until its first result": guest[0].at - came,
    }
