"""Tell samples of the same name apart by the folders that they lie in, whatever their order.

STAR calls each sample's alignments ``Aligned.sortedByCoord.out.bam``, so that only the folder says
whose they are.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

#: What stands between the parts of a name, as between a folder and a name in MultiQC's own names.
SEPARATOR = " | "

Parts = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Library:
    """What was sequenced: the alignment file of a quality report, told from others of its name."""

    #: The sample's name in the file, cleaned.
    name: str
    #: Path as the command line gave it, empty if the file does not say.
    alignments: str
    #: Where the quality report lies.
    folder: str
    #: How many there are; 0 where the path of the alignments says it all.
    fragments: int


def library(name: str, alignments: str | None, folder: str, fragments: float) -> Library:
    """Return the library of a quality report.

    Several models of one library may lie in several folders. But where commands ran in folders of
    their own, the same relative path means another file in each: the number of fragments tells.
    """
    path = alignments or ""
    return Library(name, path, folder, 0 if os.path.isabs(path) else round(fragments))


def distinct_names(libraries: Iterable[Library], clean: Callable[[str], str]) -> dict[Library, str]:
    """Name libraries. Those that share a name are all named after their folders.

    Args:
        libraries: in any order.
        clean: cleans the name of a folder as MultiQC cleans all names.

    Returns:
        Library → name.
    """
    groups: dict[str, list[list[Library]]] = defaultdict(list)
    for same in _same_libraries(libraries):
        groups[same[0].name].append(same)
    proposed: list[tuple[list[Library], str]] = []
    taken = {name for name, group in groups.items() if len(group) == 1}
    for name, group in sorted(groups.items()):
        labels = [name] if len(group) == 1 else _folder_labels(group, clean)
        proposed += zip(group, labels, strict=True)
    uses = Counter(label for _, label in proposed)
    names: dict[Library, str] = {}
    for same, label in proposed:
        name = same[0].name
        if label != name and (uses[label] > 1 or label in taken):
            label = f"{label}{SEPARATOR}{name}" if label else name
        if len(groups[name]) > 1:
            label = _free(label, taken)
            taken.add(label)
        names.update(dict.fromkeys(same, label))
    return names


def nearest(folder: str, names: Mapping[str, str]) -> str | None:
    """Return the name whose folder a file lies in or below, None unless it is only one.

    Args:
        folder: that of the file.
        names: folder → name.
    """
    parts = _parts(folder)
    found = {name for other, name in names.items() if other and _contains(parts, _parts(other))}
    return found.pop() if len(found) == 1 else None


def _same_libraries(libraries: Iterable[Library]) -> list[list[Library]]:
    """Put together those that differ only in the folder of the quality report, in order."""
    found: dict[tuple[str, str, int], set[Library]] = defaultdict(set)
    for entry in libraries:
        found[entry.name, entry.alignments, entry.fragments].add(entry)
    return [sorted(found[key], key=lambda entry: entry.folder) for key in sorted(found)]


def _folder_labels(group: Sequence[Sequence[Library]], clean: Callable[[str], str]) -> list[str]:
    """Name libraries after the folders of their alignments, else after those of their reports.

    Where neither tells them apart, the names of the files may; or else the labels are all the same.
    """
    by_alignments = [_parts(os.path.dirname(same[0].alignments)) for same in group]
    by_reports = [_parts(same[0].folder) for same in group]
    by_files = [(os.path.basename(same[0].alignments),) for same in group]
    found = (_shortest(paths) for paths in (by_alignments, by_reports, by_files))
    labels = next((labels for labels in found if labels), [same[0].name for same in group])
    cleaned = [clean(label) for label in labels]
    return cleaned if len(set(cleaned)) == len(set(labels)) else labels


def _shortest(folders: Sequence[Parts]) -> list[str]:
    """Return the ends of paths that differ, without what follows and is the same; else nothing."""
    if not all(folders) or len(set(folders)) < len(folders):
        return []
    while all(folders) and len({folder[-1] for folder in folders}) == 1:
        folders = [folder[:-1] for folder in folders]
    for depth in range(1, max(map(len, folders)) + 1):
        ends = [folder[-depth:] for folder in folders]
        if len(set(ends)) == len(ends):
            return [SEPARATOR.join(end) for end in ends]
    return []


def _parts(folder: str) -> Parts:
    return tuple(part for part in os.path.normpath(folder).split(os.sep) if part not in ("", "."))


def _contains(parts: Parts, inner: Parts) -> bool:
    """Return whether parts of a path stand in it, one after the other."""
    width = len(inner)
    return width > 0 and any(
        parts[start : start + width] == inner for start in range(len(parts) - width + 1)
    )


def _free(name: str, taken: Iterable[str]) -> str:
    """Add a number to a name if it is taken."""
    used, number, free = set(taken), 1, name
    while free in used:
        number += 1
        free = f"{name} ({number})"
    return free
