"""A 3-D flow in Fourier space, streamed: the Taylor-Green vortex, in pencils, with nothing but numpy and mpi4py.

The velocity is published as it is in space, its Fourier coefficients as they are while the solver works: two
fields of one stream, each cut among the ranks in its own way. With a broker (``lockstream broker start``)::

    mpirun -n 4 python -m mpi4py examples/taylor_green.py vortex-1
    lockstream archive follow --run vortex-1

See [1] for the flow, and [2] for the method.

.. [1] G. I. Taylor, A. E. Green: Mechanism of the production of small eddies from large ones, 1937.
.. [2] C. Canuto et al.: Spectral Methods in Fluid Dynamics, 1988: rotation form, dealiased by the 2/3 rule.
"""

import sys

import numpy as np
from mpi4py import MPI
from mpi4py.util import dtlib

from lockstream.bridge import Axis, Block, Field, open_stream

N, STEPS, EVERY, DT, VISCOSITY = 32, 60, 6, 0.025, 0.02
COMPLEX = dtlib.from_numpy_dtype(np.dtype("c16"))


def cut(n, ranks, rank):
    """First and one past the last of n that belong to a rank."""
    return n * rank // ranks, n * (rank + 1) // ranks


class Turn:
    """Pencils along axis `old` become pencils along axis `new`, and back, within one line of ranks."""

    def __init__(self, line, shape, old, new):
        self.line, self.shape, self.axes = (
            line,
            list(shape),
            (old, new),
        )  # shape: of what the line has together
        self.shapes = [self._mine(new), self._mine(old)]  # each pencil is cut along the other's axis
        self.parts = [self._parts(self.shapes[0], old), self._parts(self.shapes[1], new)]
        self.once = ([1] * line.size, [0] * line.size)

    def _mine(self, axis):
        shape = self.shape.copy()
        first, last = cut(shape[axis], self.line.size, self.line.rank)
        shape[axis] = last - first
        return shape

    def _parts(self, shape, axis):
        parts = []
        for rank in range(self.line.size):
            first, last = cut(shape[axis], self.line.size, rank)
            extent, offset = shape.copy(), [0, 0, 0]
            extent[axis], offset[axis] = last - first, first
            parts.append(COMPLEX.Create_subarray(shape, extent, offset).Commit())
        return parts

    def __call__(self, array, back=False):
        """Exchange the parts; collective over the line."""
        source, target = (1, 0) if back else (0, 1)
        turned = np.empty(self.shapes[target], "c16")
        message = (np.ascontiguousarray(array), self.once, self.parts[source])
        self.line.Alltoallw(message, (turned, self.once, self.parts[target]))
        return turned


comm = MPI.COMM_WORLD
grid = comm.Create_cart(MPI.Compute_dims(comm.size, 2))
lines = [grid.Sub([True, False]), grid.Sub([False, True])]
(z0, z1), (y0, y1) = (cut(N, line.size, line.rank) for line in lines)

# In space a rank has whole lines along x; they are turned to lie along y, and then along z, to be transformed.
M = N // 2 + 1  # of a real signal's coefficients the others are known
to_y = Turn(lines[1], (z1 - z0, N, M), 2, 1)
x0, x1 = cut(M, lines[1].size, lines[1].rank)
to_z = Turn(lines[0], (N, N, x1 - x0), 1, 0)
ky0, ky1 = cut(N, lines[0].size, lines[0].rank)


def forward(u):
    """Fourier coefficients of a field in space: shape (N, ky1 - ky0, x1 - x0) from (z1 - z0, y1 - y0, N)."""
    return np.fft.fft(to_z(np.fft.fft(to_y(np.fft.rfft(u, axis=2)), axis=1)), axis=0)


def backward(u_hat):
    """Do what undoes `forward`."""
    along_y = np.fft.ifft(to_z(np.fft.ifft(u_hat, axis=0), back=True), axis=1)
    return np.fft.irfft(to_y(along_y, back=True), N, axis=2)


whole = np.fft.fftfreq(N, 1 / N)
K = np.stack(np.meshgrid(whole, whole[ky0:ky1], np.arange(x0, x1), indexing="ij"))[::-1]  # x, y, z
K2 = (K**2).sum(0)
KEPT = (abs(K) < N / 3).all(0)
DECAY = np.exp(-VISCOSITY * K2 * DT)


def change(u_hat):
    """What advection and pressure do to the velocity: the part of u × curl u that has no divergence."""
    u = np.stack([backward(part) for part in u_hat])
    curl = np.stack([backward(part) for part in np.cross(1j * K, u_hat, axis=0)])
    push = np.stack([forward(part) for part in np.cross(u, curl, axis=0)]) * KEPT
    return push - K * (K * push).sum(0) / np.where(K2, K2, 1)


h = 2 * np.pi / N
z, y, x = np.meshgrid(np.arange(z0, z1) * h, np.arange(y0, y1) * h, np.arange(N) * h, indexing="ij")
start = np.sin(x) * np.cos(y) * np.cos(z), -np.cos(x) * np.sin(y) * np.cos(z), np.zeros_like(x)
velocity = np.stack([forward(part) for part in start])

space = tuple(Axis(name, spacing=h, units="m") for name in "zyx")
waves = tuple(Axis(name, units="1/m") for name in ("kz", "ky", "kx"))  # kz, ky: as numpy.fft.fftfreq counts
fields = [Field(name, (N, N, N), "f8", "m/s", axes=space) for name in ("u", "v", "w")]
fields += [Field("u_hat", (N, N, M), "c16", "m/s", "Fourier coefficients of u", waves)]

with open_stream(
    comm, run=sys.argv[1] if len(sys.argv) > 1 else "vortex", fields=fields, time_units="s"
) as out:
    for step in range(STEPS + 1):
        if step % EVERY == 0:
            in_space = np.stack([backward(part) for part in velocity])
            blocks = {name: Block(part, (z0, y0, 0)) for name, part in zip("uvw", in_space, strict=True)}
            blocks["u_hat"] = Block(velocity[0], (0, ky0, x0))
            energy = comm.allreduce(float((in_space**2).sum())) / 2 / N**3
            out.publish(step, time=step * DT, blocks=blocks, diagnostics={"energy": energy})
        # Heun's method; viscosity is integrated exactly.
        first = change(velocity)
        second = change((velocity + DT * first) * DECAY)
        velocity = velocity * DECAY + DT / 2 * (first * DECAY + second)
