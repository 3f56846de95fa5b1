"""Who was being graded when a run was killed: who was there twice is not tried again.

A note with the number of such runs lies in `results/NOTEBOOK/.running/` for as long as
a submission is in the hands of a run. A run that ends in order leaves none behind.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from ..course import write_atomically

MOST = 2


@dataclass
class Attempt:
    """One submission in the hands of this run."""

    path: Path
    key: str
    killed: int = 0
    """Runs that were killed while they had this very submission in hand."""

    @property
    def given_up(self) -> bool:
        return self.killed >= MOST

    def begin(self) -> None:
        """Leave a note, in case that this run is killed now."""
        self._write(min(self.killed + 1, MOST))

    def pause(self) -> None:
        """Take it back: whatever ends this run now, it is not this submission."""
        self._write(self.killed)

    def end(self) -> None:
        """Forget it: there is a result."""
        if not self.given_up:
            self.path.unlink(missing_ok=True)

    def _write(self, killed: int) -> None:
        if killed:
            plain = {"key": self.key, "killed": killed}
            write_atomically(self.path, json.dumps(plain) + "\n")
        else:
            self.path.unlink(missing_ok=True)


def attempt(folder: Path, student: str, key: str, *, forget: bool = False) -> Attempt:
    """Return what the notes in `folder` say of a submission.

    Args:
        key: of the submission; what another one did counts no longer.
        forget: start anew.
    """
    path = folder / f"{student}.json"
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        killed = int(plain["killed"]) if plain["key"] == key else 0
    except (OSError, ValueError, KeyError, TypeError):
        killed = 0
    return Attempt(path, key, 0 if forget else killed)
