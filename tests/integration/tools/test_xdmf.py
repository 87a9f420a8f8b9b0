"""`archive xdmf`: every hyperslab that the sidecar names is the frame that it says it is."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import h5py
import numpy as np
import pytest
from support.runs import FakeRun, archive

from lockstream.bridge.messages import Axis, Field

Command = Callable[..., Any]
PLANE = (Axis("y", 1.0, 0.5, "m"), Axis("x", -2.0, 0.25, "m"))
CUBE = (Axis("k", spacing=2.0), Axis("j", 0.1), Axis("i"))
RUN = FakeRun(
    fields=(
        Field("u", (6, 5), "f4", axes=PLANE),
        Field("flag", (6, 5), "u1", axes=PLANE),
        Field("coarse", (6, 5), "f8", axes=(Axis("cy", 0.0, 5.0), Axis("cx", 0.0, 5.0))),
        Field("cube", (3, 4, 5), "i8", axes=CUBE),
        Field("line", (9,), axes=(Axis("cell"),)),
        Field("wave", (6, 5), "c8", axes=PLANE),
    ),
    partitions=2,
)
KINDS = {"Float": "f", "Int": "i", "UInt": "u"}


class Shown(NamedTuple):
    """One attribute of one grid, as a viewer would draw it."""

    time: float
    name: str
    values: np.ndarray[Any, Any]
    origin: list[float]
    spacing: list[float]


def numbers(item: ElementTree.Element) -> list[float]:
    return [float(word) for word in (item.text or "").split()]


def resolved(sidecar: Path) -> Iterator[Shown]:
    """Read a sidecar as the XDMF 3 model says."""
    domain = ElementTree.parse(sidecar).getroot().find("Domain")  # noqa: S314 - our own
    assert domain is not None
    for collection in domain:
        assert collection.attrib["CollectionType"] == "Temporal"
        for grid in collection:
            time, topology, geometry, *attributes = grid
            sizes = topology.attrib["Dimensions"]
            rank = len(sizes.split())
            assert topology.attrib["TopologyType"] == f"{rank}DCoRectMesh"
            assert geometry.attrib["GeometryType"] == {2: "ORIGIN_DXDY", 3: "ORIGIN_DXDYDZ"}[rank]
            origin, spacing = map(numbers, geometry)
            for attribute in attributes:
                assert attribute.attrib["Center"] == "Node"
                (slab,) = attribute
                assert (slab.attrib["ItemType"], slab.attrib["Dimensions"]) == ("HyperSlab", sizes)
                values = hyperslab(sidecar.parent, *slab)
                name = attribute.attrib["Name"]
                yield Shown(float(time.attrib["Value"]), name, values, origin, spacing)


def hyperslab(
    folder: Path, selection: ElementTree.Element, source: ElementTree.Element
) -> np.ndarray[Any, Any]:
    start, stride, count = np.array(numbers(selection), int).reshape(3, -1)
    found = re.fullmatch(r"(.+):/(\w+)", source.text or "")
    assert found is not None
    with h5py.File(folder / found[1]) as file:
        variable = file[found[2]]
        assert " ".join(map(str, variable.shape)) == source.attrib["Dimensions"]
        assert variable.dtype.kind == KINDS[source.attrib["NumberType"]]
        assert variable.dtype.itemsize == int(source.attrib["Precision"])
        chosen = tuple(
            slice(s, s + d * n, d)
            for s, d, n in zip(start.tolist(), stride.tolist(), count.tolist(), strict=True)
        )
        values: np.ndarray[Any, Any] = variable[chosen]
    assert values.shape[0] == 1
    return values[0]


@pytest.mark.parametrize("status", ["completed", None])
def test_every_frame_is_the_right_one(lockstream: Command, tmp_path: Path, status: str | None) -> None:
    steps = [0, 3, 4, 9]
    archive(tmp_path, RUN.logs(steps, status), segment_bytes=1)
    said = lockstream("archive", "xdmf", tmp_path)
    assert said == (0, f"{tmp_path / 'fake' / 'run.xdmf'}\n", "")
    shown = list(resolved(tmp_path / "fake" / "run.xdmf"))
    assert {(frame.name, frame.time) for frame in shown} == {
        (name, step / 3) for name in ("u", "flag", "coarse", "cube") for step in steps
    }
    assert len(shown) == 4 * len(steps)
    axes = {field.name: field.axes for field in RUN.fields}
    for frame in shown:
        assert frame.values.tobytes() == RUN.array(frame.name, round(frame.time * 3)).tobytes()
        assert frame.origin == [axis.start for axis in axes[frame.name]]
        assert frame.spacing == [axis.spacing for axis in axes[frame.name]]


def test_it_is_written_again_when_there_is_more(lockstream: Command, tmp_path: Path) -> None:
    logs = RUN.logs(range(4), None)
    for stop in (8, None):
        archive(tmp_path, [log[:stop] for log in logs], segment_bytes=1)
        assert lockstream("archive", "xdmf", tmp_path).code == 0
    assert len(list(resolved(tmp_path / "fake" / "run.xdmf"))) == 16
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_run_that_paraview_could_not_show(lockstream: Command, tmp_path: Path) -> None:
    archive(tmp_path, FakeRun(fields=(Field("line", (9,)),)).logs([0]))
    said = lockstream("archive", "xdmf", tmp_path)
    assert said.code == 2
    assert "no run.h5 with fields of 2 or 3 dimensions that ParaView could show" in said.err
    assert not (tmp_path / "fake" / "run.xdmf").exists()


def test_without_run_h5_there_is_nothing_to_point_at(lockstream: Command, tmp_path: Path) -> None:
    archive(tmp_path, RUN.logs([0], None))
    (tmp_path / "fake" / "run.h5").unlink()
    assert lockstream("archive", "xdmf", tmp_path / "fake").code == 2
