"""The workflow without any messages: one band, one process. What the three ways must come to, bit for bit."""

import msgspec

from lockstream.contrast.hybrid.analysis import Result, examine
from lockstream.contrast.hybrid.workflow import Array, Band, Plan, solve


def serial_results(plan: Plan) -> list[Result]:
    """Return the results of a plan, computed here."""
    alone = msgspec.structs.replace(plan, workers=1, pace=0.0)
    band, results = Band(alone, 0), list[Result]()

    def exchange(_step: int) -> None:
        band.padded[0], band.padded[-1] = band.padded[-2], band.padded[1]

    def publish(step: int, rows: Array) -> None:
        results.append(examine(step, rows))

    solve(alone, band, exchange, publish)
    return results
