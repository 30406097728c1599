"""Messages, warnings and progress of a run: one object that is passed to every stage.

The command line makes one that writes to standard error; from Python a run is silent by default.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

#: Called with a stage, the steps done, and the steps in all (0: not known). Any thread may call it.
ProgressCallback = Callable[[str, int, int], None]
#: Called with the same and a description of the step.
StepCallback = Callable[[str, int, int, str], None]
#: Called while an alignment file is counted, batch by batch, with the file, its bytes read so far,
#: those in all (0: not known), and what was counted, as text; this is empty once all is.
CountingCallback = Callable[[str, int, int, str], None]

_WARNING = "Warning: "


def _ignore(text: str) -> None:
    """Write nothing."""


@dataclass(frozen=True, slots=True)
class Messages:
    """Where messages, warnings and progress go.

    Args:
        write: takes one line for standard error.
        progress: called as long stages proceed; None to ignore progress.
        step: called for each step of a stage whose steps are worth a line; None to ignore them.
        counting: called as alignments are counted, in place of htseq-count's lines of progress;
            None for these lines.
        quiet: whether to write warnings only.
        subject: what warnings are about, such as a sample; empty where that is plain.
    """

    write: Callable[[str], None] = _ignore
    progress: ProgressCallback | None = None
    step: StepCallback | None = None
    quiet: bool = False
    subject: str = ""
    counting: CountingCallback | None = None

    def info(self, text: str) -> None:
        """Write a line of progress, unless quiet."""
        if not self.quiet:
            self.write(text)

    def warn(self, text: str) -> None:
        """Write a warning, quiet or not."""
        self.write(_WARNING + (f"{self.subject}: {text}" if self.subject else text))

    def to(self, write: Callable[[str], None]) -> Messages:
        """Return the same with another destination for lines."""
        return replace(self, write=write)

    def noting_warnings(self, note: Callable[[str], None]) -> Messages:
        """Return the same, which passes each warning's line to ``note`` as well."""

        def write(text: str) -> None:
            if text.startswith(_WARNING):
                note(text)
            self.write(text)

        return self.to(write)

    def about(self, subject: str) -> Messages:
        """Return the same with warnings that name their subject."""
        return replace(self, subject=subject)

    def each_warning_once(self) -> Messages:
        """Return messages that drop a warning already given in the same words.

        htseq-count does so when it counts several files.
        """
        given: set[str] = set()

        def once(text: str) -> None:
            if text not in given:
                self.write(text)
            if text.startswith(_WARNING):
                given.add(text)

        return self.to(once)

    def progress_of(self, name: str) -> ProgressCallback | None:
        """Return a callback that puts the name of a sample or model before each stage."""
        progress = self.progress
        if progress is None:
            return None
        return lambda stage, done, total: progress(f"{name}: {stage}", done, total)


#: Drops everything.
SILENT = Messages(quiet=True)
