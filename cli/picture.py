"""The picture of a run: frames over time, diagnostics and spectrum, from the archive alone."""

from pathlib import Path
from typing import Any

import numpy as np

FRAMES = 4


def draw(run_file: Path, analysis_file: Path, field: str, picture: Path) -> None:
    """Draw an archived run.

    Parameters
    ----------
    run_file
        ``run.h5`` with a 2-D `field`.
    analysis_file
        ``analysis.h5`` of the same run.
    field
        Which field's frames and spectrum.
    picture
        The PNG to write.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import xarray
    from matplotlib.figure import Figure

    with (
        xarray.open_dataset(run_file, engine="h5netcdf") as run,
        xarray.open_dataset(analysis_file, engine="h5netcdf") as analysis,
    ):
        figure = Figure(figsize=(12, 6.4), dpi=110, layout="constrained")
        parts: Any = figure.subfigures(2, 1, height_ratios=(3, 2.6))
        top, bottom = parts
        _draw_frames(top, run, field)
        left, middle, right = bottom.subplots(1, 3)
        _draw_diagnostics(left, run, field)
        _draw_scale(middle, analysis)
        _draw_spectrum(right, analysis)
        title = f"{run.attrs['run']}: {run.sizes['step']} steps, simulated with MPI, streamed through Kafka"
        figure.suptitle(f"{title}, archived in HDF5 and verified", fontsize=11)
        figure.savefig(picture)


def _draw_frames(figure: Any, run: Any, field: str) -> None:
    frames = run[field]
    chosen = np.unique(np.geomspace(1, run.sizes["step"] - 1, FRAMES).round().astype(int))
    panels = figure.subplots(1, len(chosen), squeeze=False)[0]
    low, high = float(frames.min()), float(frames.max())
    for panel, n in zip(panels, chosen, strict=True):
        frame = frames.isel(step=n)
        image = panel.imshow(frame.values, origin="lower", cmap="magma", vmin=low, vmax=high)
        panel.set_title(f"step {int(frame.step)}, t = {float(frame.time):.0f}", fontsize=9)
        panel.set_xticks([])
        panel.set_yticks([])
    figure.colorbar(image, ax=list(panels), shrink=0.85, label=field)


def _draw_diagnostics(panel: Any, run: Any, field: str) -> None:
    for name in run.data_vars:
        if run[name].dims == ("step",) and str(name).startswith(f"{field}_"):
            panel.plot(run.step, run[name], label=str(name))
    panel.set(xlabel="step", title="diagnostics, reduced over the ranks")
    panel.title.set_fontsize(9)
    panel.legend(fontsize=7, loc="center right")


def _draw_scale(panel: Any, analysis: Any) -> None:
    panel.plot(analysis.step, analysis.pattern_scale, color="tab:green")
    panel.set(xlabel="step", ylabel=f"pattern scale [{analysis.pattern_scale.attrs.get('units', '1')}]")
    panel.set_title("found live by the analysis worker", fontsize=9)


def _draw_spectrum(panel: Any, analysis: Any) -> None:
    last = analysis.spectrum.isel(step=-1)
    panel.loglog(analysis.wavenumber[1:], last[1:], color="tab:purple")
    panel.set(xlabel=f"wavenumber [{analysis.wavenumber.attrs.get('units', '1')}]", ylabel="power")
    panel.set_title(f"radially averaged spectrum, step {int(last.step)}", fontsize=9)
