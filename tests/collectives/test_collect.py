from typing import TYPE_CHECKING

import numpy as np
import pytest

from lockstream.bridge.errors import ConfigurationError, UserError
from lockstream.mpi_jobs.collect import gather_field, on_root, scatter_field
from lockstream.mpi_jobs.config import load_configuration
from lockstream.mpi_jobs.decomposition import Decomposition, Shape
from lockstream.mpi_jobs.fields import interiors, padded_arrays

if TYPE_CHECKING:
    from mpi4py import MPI


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scattered_fields_are_where_they_belong_and_come_back(
    comm: "MPI.Intracomm", grids: list[Shape], dtype: str
) -> None:
    shape = (9, 14)
    field = np.random.default_rng(1).random(shape).astype(dtype)
    for grid in grids:
        decomposition = Decomposition(shape, grid)
        block = decomposition.block(comm.rank)
        arrays = padded_arrays(1, block.shape, np.dtype(dtype))
        (interior,) = interiors(arrays, block.shape)
        scatter_field(comm, decomposition, field if comm.rank == 0 else None, interior)
        assert np.array_equal(interior, field[block.slices])
        assert arrays[0].sum(dtype=float) == pytest.approx(interior.sum(dtype=float)), "the halo is untouched"
        gathered = gather_field(comm, decomposition, interior)
        assert (gathered is None) == (comm.rank != 0)
        assert gathered is None or np.array_equal(gathered, field)


def test_a_mistake_found_on_rank_0_is_raised_on_all_ranks_alike(comm: "MPI.Intracomm") -> None:
    def find() -> int:
        raise ConfigurationError("run.steps", 0, "must be at least 1")

    with pytest.raises(UserError) as caught:
        on_root(comm, find)
    texts = comm.allgather(str(caught.value))
    assert set(texts) == {"run.steps = 0: must be at least 1"}
    assert on_root(comm, lambda: 7) == (7 if comm.rank == 0 else None)


def test_all_ranks_get_the_configuration_that_rank_0_has(comm: "MPI.Intracomm") -> None:
    overrides = ["run.id=a", "run.model=heat", f"run.steps={100 + comm.rank}", "domain.shape=[16, 16]"]
    configuration = load_configuration(comm, None, {}, [*overrides, "model.diffusivity=0.5"])
    assert configuration.run.steps == 100
    assert configuration.domain.shape == (16, 16)
    assert configuration.model == {"diffusivity": 0.5}
    with pytest.raises(UserError, match=r"model\.dt = 5\.0"):
        load_configuration(comm, None, {}, [*overrides, "model.dt=5.0"])
