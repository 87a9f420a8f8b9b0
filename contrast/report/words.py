"""Figures as people read them."""

from lockstream.contrast.results import Outcome

_SECONDS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_BYTES = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))
_RATES = ((1e9, "GB/s"), (1e6, "MB/s"), (1e3, "kB/s"))


def number(value: float) -> str:
    """Write a number with three significant digits and without an exponent, e.g. "0.0123", "12.3", "12,300"."""
    if value == 0:
        return "0"
    if abs(value) >= 1000 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:#.3g}".rstrip(".") if abs(value) >= 1e-4 else f"{value:.2e}"


def duration(seconds: float) -> str:
    """Write a time, e.g. "12.3 µs"; a minute and more in seconds too, so that figures can be compared."""
    return _scaled(seconds, _SECONDS, "s")


def duration_between(median: float, low: float, high: float) -> str:
    """Write a time and its interval, e.g. "12.3 [12.1, 12.9] µs"."""
    return _between(median, low, high, _SECONDS)


def rate_between(median: float, low: float, high: float) -> str:
    """Write a throughput and its interval, e.g. "1.20 [1.10, 1.25] GB/s"."""
    return _between(median, low, high, _RATES)


def size(nbytes: float) -> str:
    """Write a number of bytes, e.g. "64 KiB"."""
    for scale, unit in _BYTES:
        if nbytes >= scale:
            return f"{number(nbytes / scale)} {unit}"
    return f"{number(nbytes)} B"


def rate(bytes_per_second: float) -> str:
    """Write a throughput, e.g. "1.20 GB/s"."""
    return _scaled(bytes_per_second, _RATES, "B/s")


def factor(value: float) -> str:
    """Write a ratio, e.g. "12.3×"."""
    return f"{number(value)}×"


def figure(outcome: Outcome) -> str:
    """Write one figure of an experiment, with its interval, or why there is none."""
    if outcome.value is None:
        return outcome.note or "–"
    write = {"s": duration, "B": size, "B/s": rate}.get(outcome.unit)
    text = write(outcome.value) if write else f"{number(outcome.value)} {_unit(outcome)}".rstrip()
    if outcome.low is not None and outcome.high is not None and outcome.low != outcome.high:
        low, high = ((write or number)(bound) for bound in (outcome.low, outcome.high))
        text += f" ({low} to {high})"
    return f"{text}; {outcome.note}" if outcome.note else text


def _unit(outcome: Outcome) -> str:
    """Return the unit as it is said of one or of many, e.g. "message" or "messages"."""
    return outcome.unit.removesuffix("s") if outcome.value == 1 and outcome.unit.isalpha() else outcome.unit


def _between(median: float, low: float, high: float, scales: tuple[tuple[float, str], ...]) -> str:
    scale, unit = next((one for one in scales if median >= one[0]), scales[-1])
    value, lowest, highest = (number(one / scale) for one in (median, low, high))
    return f"{value} [{lowest}, {highest}] {unit}"


def _scaled(value: float, scales: tuple[tuple[float, str], ...], smallest: str) -> str:
    for scale, unit in scales:
        if abs(value) >= scale:
            return f"{number(value / scale)} {unit}"
    if value and scales[-1][0] < 1:
        return f"{number(value / scales[-1][0])} {scales[-1][1]}"
    return f"{number(value)} {smallest}"
