"""An XDMF sidecar, with which ParaView and VisIt open ``run.h5``: light data in XML, heavy data in place."""

from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import quoteattr

from lockstream.bridge.messages import DTYPES, Field, RunStarted
from lockstream.kafka.archive.layout import RUN_FILE, UNSEALED, replace
from lockstream.kafka.archive.recovery import open_sealed
from lockstream.kafka.archive.view import view_run
from lockstream.kafka.errors import NotAnArchive

_KINDS = {"f": "Float", "i": "Int", "u": "UInt"}


def write_xdmf(run_folder: Path) -> Path:
    """Write ``run.xdmf`` beside ``run.h5``.

    Fields of 2 or 3 dimensions and real numbers become attributes on a uniform grid, a grid per step.

    Raises
    ------
    NotAnArchive
        If there is no ``run.h5`` with such fields.

    Notes
    -----
    XDMF Model and Format, xdmf.org, version 3.
    """
    started = view_run(run_folder).newest
    shown = [f for f in started.fields if len(f.shape) in (2, 3) and f.dtype[0] in _KINDS] if started else []
    if started is None or not shown or not (run_folder / RUN_FILE).exists():
        raise NotAnArchive(
            f"{run_folder}: no {RUN_FILE} with fields of 2 or 3 dimensions that ParaView could show"
        )
    final = run_folder / "run.xdmf"
    temporary = final.with_name(final.name + UNSEALED)
    with open_sealed(run_folder / RUN_FILE) as file:
        times = file["time"][()].tolist()
    with temporary.open("w", encoding="utf-8") as out:
        out.writelines(_lines(started, shown, times))
    replace(temporary, final)
    return final


def _lines(started: RunStarted, fields: list[Field], times: list[float]) -> Iterator[str]:
    yield '<?xml version="1.0"?>\n<Xdmf Version="3.0">\n<Domain>\n'
    for axes in dict.fromkeys(field.axes for field in fields):
        group = [field for field in fields if field.axes == axes]
        name = quoteattr(f"{started.run} {' '.join(axis.name for axis in axes)}")
        yield f'<Grid Name={name} GridType="Collection" CollectionType="Temporal">\n'
        for row, time in enumerate(times):
            yield _grid(group, row, len(times), time)
        yield "</Grid>\n"
    yield "</Domain>\n</Xdmf>\n"


def _grid(fields: list[Field], row: int, steps: int, time: float) -> str:
    first = fields[0]
    sizes = " ".join(map(str, first.shape))
    rank = len(first.shape)
    origin = " ".join(repr(axis.start) for axis in first.axes)
    spacing = " ".join(repr(axis.spacing) for axis in first.axes)
    attributes = "".join(_attribute(field, row, steps, sizes) for field in fields)
    return (
        f'<Grid Name="step" GridType="Uniform"><Time Value="{time!r}"/>'
        f'<Topology TopologyType="{rank}DCoRectMesh" Dimensions="{sizes}"/>'
        f'<Geometry GeometryType="ORIGIN_{"DXDYDZ" if rank == 3 else "DXDY"}">'
        f'<DataItem Dimensions="{rank}" Format="XML">{origin}</DataItem>'
        f'<DataItem Dimensions="{rank}" Format="XML">{spacing}</DataItem></Geometry>'
        f"{attributes}</Grid>\n"
    )


def _attribute(field: Field, row: int, steps: int, sizes: str) -> str:
    kind, precision = _KINDS[field.dtype[0]], DTYPES[field.dtype].itemsize
    rank = len(field.shape) + 1
    zeros, ones = " ".join("0" * (rank - 1)), " ".join("1" * rank)
    return (
        f'<Attribute Name={quoteattr(field.name)} AttributeType="Scalar" Center="Node">'
        f'<DataItem ItemType="HyperSlab" Dimensions="{sizes}">'
        f'<DataItem Dimensions="3 {rank}" Format="XML">{row} {zeros} {ones} 1 {sizes}</DataItem>'
        f'<DataItem Dimensions="{steps} {sizes}" NumberType="{kind}" Precision="{precision}" Format="HDF">'
        f"{RUN_FILE}:/{field.name}</DataItem></DataItem></Attribute>"
    )
