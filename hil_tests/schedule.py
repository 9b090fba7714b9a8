"""Which cells run where: rig after rig, or several rigs at once in processes of their own."""

from __future__ import annotations

import multiprocessing
import queue
import shutil
import threading
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from controller.sim.workspace import PACKAGES
from hil_tests.cell import Cell
from hil_tests.faults.matrix import Fault
from hil_tests.faulty_models import make_packages
from hil_tests.rigfile import Mode, RigFile
from hil_tests.run import Progress, run_cells

Batch = list[Cell]
"""Cells of one rig in one mode: they share a rig."""


def plan(rigs: Iterable[RigFile], modes: Iterable[Mode], faults: list[Fault], slack: float = 1.0) -> list[Batch]:
    """Every fault on every rig in every mode."""
    modes = list(modes)
    return [[Cell(fault, rig, mode, slack) for fault in faults] for rig in rigs for mode in modes]


def run_matrix(batches: list[Batch], folder: Path, progress: Progress, jobs: int = 1) -> list[Cell]:
    """Run every cell; `progress` is called with each as it is done. Cells come back in the order of the batches.

    jobs: how many rigs are up at once. Rows that disturb whatever else runs here then wait until all others are done.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _make_packages(folder / "packages")
    if jobs == 1:
        return [cell for batch in batches for cell in run_cells(batch, _place(folder, batch, "all"), progress)]
    together = [[cell for cell in batch if not cell.fault.alone] for batch in batches]
    alone = [[cell for cell in batch if cell.fault.alone] for batch in batches]
    done = _run_together([batch for batch in together if batch], folder, progress, jobs)
    for batch in alone:
        if batch:
            done += run_cells(batch, _place(folder, batch, "alone"), progress)
    by_name = {cell.name: cell for cell in done}
    return [by_name[cell.name] for batch in batches for cell in batch]


def _run_together(batches: list[Batch], folder: Path, progress: Progress, jobs: int) -> list[Cell]:
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        finished: queue.Queue[Cell | None] = manager.Queue()

        def tell() -> None:
            while (cell := finished.get()) is not None:
                progress(cell)

        teller = threading.Thread(target=tell, name="progress")
        teller.start()
        try:
            with ProcessPoolExecutor(jobs, mp_context=context) as pool:
                places = [_place(folder, batch, "all") for batch in batches]
                return [
                    cell
                    for cells in pool.map(run_cells, batches, places, [finished.put] * len(batches))
                    for cell in cells
                ]
        finally:
            finished.put(None)
            teller.join()


def _place(folder: Path, batch: Batch, which: str) -> Path:
    return folder / f"{batch[0].rig.name}-{batch[0].mode}-{which}"


def _make_packages(packages: Path) -> None:
    """One folder of model packages for every rig, made before the first one looks for it."""
    if not packages.exists():
        shutil.copytree(PACKAGES, packages)
        make_packages(packages)
