"""Checkpoints by orbax, with what it leaves out: every array is checked when it comes back.

A checkpoint that can't be read, or whose arrays are not the ones that were written, is reported, and the one before it
is used. Nothing is deleted for that: a training moves what it could not read out of the way.
"""

import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from gdl_jax.core.errors import UserError, first_line
from gdl_jax.core.parallel import to_host

KEEP = 3
DAMAGED = "damaged_checkpoints"  # beside checkpoints/: what could not be read when a training resumed


class Restored(NamedTuple):
    """What a checkpoint held: updates made, the state, and the loop's own notes (JSON)."""

    step: int
    state: Any
    notes: dict[str, Any]


def _checksums(state: Any) -> list[int]:
    """CRC-32 of the bytes of each leaf."""
    return [zlib.crc32(np.ascontiguousarray(leaf)) for leaf in jax.tree.leaves(state)]


@contextmanager
def _one_report() -> Iterator[None]:
    """Keeps one error that is none from being reported, as long as the block lasts.

    When one of a checkpoint's arrays can't be written or read, orbax raises at once and closes its event loop;
    TensorStore's threads then find it closed as they finish the other arrays. What was raised says what there is to
    say.
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
    """The `checkpoints/` directory of one run. Saving goes on in the background: call `close` before the end."""

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
        """Writes the state (the same in every process) after `step` updates; does nothing if that is there already.

        Raises:
          UserError: this checkpoint, or the one before it, could not be written (a full disk, no permission).
        """
        if step in self._manager.all_steps():
            return
        state = to_host(state)  # copies: the loop donates its own, and writing goes on behind its back
        meta = {"checksums": _checksums(state), "notes": notes}
        try:
            with _one_report():
                self._manager.wait_until_finished()
                self._manager.save(
                    step, args=ocp.args.Composite(state=ocp.args.StandardSave(state), meta=ocp.args.JsonSave(meta))
                )
        except (OSError, ValueError) as error:
            raise self._failed(error) from error

    def restore(self, like: Any) -> Restored | None:
        """The newest checkpoint that is whole, or None if there is none. Reads only.

        Args:
          like: a state with the shapes and dtypes to restore to.

        Returns:
          The state in NumPy arrays, the same in every process.

        Raises:
          UserError: there are checkpoints, and none of them is whole; or its arrays have other shapes than `like`.
        """
        steps = sorted(self._manager.all_steps(), reverse=True)
        if not steps:
            return None
        like = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), like)
        self._unreadable = []
        for candidate in steps:
            try:
                with _one_report():
                    items = self._manager.restore(
                        candidate,
                        args=ocp.args.Composite(state=ocp.args.StandardRestore(like), meta=ocp.args.JsonRestore()),
                    )
                if _checksums(items["state"]) != items["meta"]["checksums"]:
                    raise ValueError("an array differs from what was saved")
            except Exception as error:
                reason = first_line(error)[:200]
                self._warn(f"checkpoint {self.directory / str(candidate)} is damaged and not used: {reason}")
                self._unreadable.append(candidate)
                continue
            self._check_shapes(candidate, items["state"], like)
            return Restored(candidate, items["state"], items["meta"]["notes"])
        raise UserError(f"{self.directory}: no checkpoint in it can be read")

    def _check_shapes(self, step: int, state: Any, like: Any) -> None:
        wanted = jax.tree_util.tree_leaves_with_path(like)
        for (path, expected), leaf in zip(wanted, jax.tree.leaves(state), strict=True):
            if (leaf.shape, leaf.dtype) != (expected.shape, expected.dtype):
                raise UserError(
                    f"{self.directory / str(step)}: {jax.tree_util.keystr(path)} is {leaf.dtype}{list(leaf.shape)}, "
                    f"the model's is {expected.dtype}{list(expected.shape)}: the data or the code have changed"
                )

    def set_aside_unreadable(self) -> None:
        """Moves what `restore` could not read to damaged_checkpoints/, so that those steps can be saved again."""
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
          UserError: something could not be.
        """
        with _one_report():
            try:
                self._manager.wait_until_finished()
            except (OSError, ValueError) as error:
                raise self._failed(error) from error
            finally:
                self._manager.close()
