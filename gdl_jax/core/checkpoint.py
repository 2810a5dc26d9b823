"""Checkpoints written by orbax, with a checksum per array that is verified on restore.

A checkpoint that cannot be read, or whose arrays differ from those saved, is reported, and the previous one is used.
Nothing is deleted: training moves unreadable checkpoints to another folder.
"""

import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from gdl_jax.core.errors import UserError, first_line
from gdl_jax.core.parallel import to_host

KEEP = 3  # checkpoints per run
DAMAGED = "damaged_checkpoints"  # folder next to checkpoints/ for those that could not be read on resume


class Restored(NamedTuple):
    """Contents of a checkpoint: updates made, state, and the loop's own notes (JSON)."""

    step: int
    state: Any
    notes: dict[str, Any]


def _checksums(state: Any) -> list[int]:
    """Returns the CRC-32 of each leaf's bytes."""
    arrays: Iterable[Any] = map(np.ascontiguousarray, jax.tree.leaves(state))  # crc32 needs contiguous bytes
    return [zlib.crc32(array) for array in arrays]


@contextmanager
def _ignore_closed_event_loop() -> Iterator[None]:
    """Suppresses reports of a spurious error inside the block.

    When an array of a checkpoint can't be written or read, orbax raises an error and closes its event loop.
    TensorStore's threads then find the loop closed when they finish the other arrays, which adds no information.
    """
    before = sys.unraisablehook

    def report(unraisable: "sys.UnraisableHookArgs") -> None:
        error = unraisable.exc_value
        if not (isinstance(error, RuntimeError) and str(error) == "Event loop is closed"):
            before(unraisable)

    sys.unraisablehook = report
    try:
        yield
    finally:
        sys.unraisablehook = before


class Checkpoints:
    """The `checkpoints/` directory of one run. Saving continues in the background: call `close` before exiting."""

    def __init__(self, directory: Path, warn: Callable[[str], None]):
        self.directory = directory.absolute()
        self._warn = warn
        options = ocp.CheckpointManagerOptions(max_to_keep=KEEP, create=True)
        self._manager = ocp.CheckpointManager(self.directory, options=options)
        self._unreadable: list[int] = []

    def _failed(self, error: Exception) -> UserError:
        reason = first_line(error)
        return UserError(f"{self.directory}: cannot write a checkpoint: {reason}; the earlier ones are kept")

    def save(self, step: int, state: Any, notes: dict[str, Any]) -> None:
        """Writes the state (the same in every process) after `step` updates; does nothing if this is already saved.

        Raises:
          UserError: this checkpoint, or the previous one, could not be written (a full disk, no permission).
        """
        if step in self._manager.all_steps():
            return
        state = to_host(state)  # a copy: the loop donates its own while this one is being written
        meta = {"checksums": _checksums(state), "notes": notes}
        try:
            with _ignore_closed_event_loop():
                self._manager.wait_until_finished()
                self._manager.save(
                    step, args=ocp.args.Composite(state=ocp.args.StandardSave(state), meta=ocp.args.JsonSave(meta))
                )
        except (OSError, ValueError) as error:
            raise self._failed(error) from error

    def restore(self, like: Any) -> Restored | None:
        """Returns the newest undamaged checkpoint, or None if there are no checkpoints. Reads only.

        Args:
          like: a state with the shapes and dtypes to restore to.

        Returns:
          The state as NumPy arrays, the same in every process.

        Raises:
          UserError: all checkpoints are damaged, or the arrays have other shapes than `like`.
        """
        steps = sorted(self._manager.all_steps(), reverse=True)
        if not steps:
            return None
        like = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), like)
        self._unreadable = []
        for candidate in steps:
            try:
                with _ignore_closed_event_loop():
                    items = self._manager.restore(
                        candidate,
                        args=ocp.args.Composite(state=ocp.args.StandardRestore(like), meta=ocp.args.JsonRestore()),
                    )
                if _checksums(items["state"]) != items["meta"]["checksums"]:
                    raise ValueError("an array differs from the one saved")
            except Exception as error:
                reason = first_line(error)[:200]
                self._warn(f"checkpoint {self.directory / str(candidate)} is damaged and ignored: {reason}")
                self._unreadable.append(candidate)
                continue
            self._check_shapes(candidate, items["state"], like)
            return Restored(candidate, items["state"], items["meta"]["notes"])
        raise UserError(f"{self.directory}: none of these checkpoints can be read")

    def _check_shapes(self, step: int, state: Any, like: Any) -> None:
        wanted = jax.tree_util.tree_leaves_with_path(like)
        for (path, expected), leaf in zip(wanted, jax.tree.leaves(state), strict=True):
            if (leaf.shape, leaf.dtype) != (expected.shape, expected.dtype):
                raise UserError(
                    f"{self.directory / str(step)}: {jax.tree_util.keystr(path)} is {leaf.dtype}{list(leaf.shape)}, "
                    f"the model expects {expected.dtype}{list(expected.shape)}: the data or the code have changed"
                )

    def set_aside_unreadable(self) -> None:
        """Moves checkpoints that `restore` could not read to damaged_checkpoints/, so that new ones can be saved."""
        if not self._unreadable:
            return
        if jax.process_index() == 0:
            aside = self.directory.with_name(DAMAGED)
            aside.mkdir(exist_ok=True)
            for step in self._unreadable:
                number = sum(1 for _ in aside.glob(f"{step}*"))
                (self.directory / str(step)).rename(aside / (f"{step}.{number}" if number else str(step)))
        multihost_utils.sync_global_devices("damaged checkpoints are set aside")
        self._manager.reload()
        self._unreadable = []

    def close(self) -> None:
        """Waits until everything is written.

        Raises:
          UserError: a checkpoint could not be written.
        """
        with _ignore_closed_event_loop():
            try:
                self._manager.wait_until_finished()
            except (OSError, ValueError) as error:
                raise self._failed(error) from error
            finally:
                self._manager.close()
