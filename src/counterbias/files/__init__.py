"""Writing files that appear whole or not at all, writing to streams, and removing leftovers.

Every file that Counterbias writes goes through here. A regular file is written next to its final
place under a temporary name and renamed when it is complete, so that an interrupted run or a full
disk leaves what was there before. Streams (``/dev/stdout``, ``/dev/fd/3``, a named pipe,
``/dev/null``) are written to and never replaced. Symbolic links remain links: their target is
replaced.
"""

from counterbias.files.names import readable
from counterbias.files.partial import abandon, remove_leftovers, remove_leftovers_in
from counterbias.files.room import folder_with_room
from counterbias.files.streams import descriptor_of, is_stream
from counterbias.files.whole import (
    can_be_made,
    nameless_file,
    new_folder,
    scratch_folder,
    temporary_errors,
    temporary_place,
    whole_folder,
    whole_stream,
    whole_text,
    writing_errors,
)

__all__ = [
    "abandon",
    "can_be_made",
    "descriptor_of",
    "folder_with_room",
    "is_stream",
    "nameless_file",
    "new_folder",
    "readable",
    "remove_leftovers",
    "remove_leftovers_in",
    "scratch_folder",
    "temporary_errors",
    "temporary_place",
    "whole_folder",
    "whole_stream",
    "whole_text",
    "writing_errors",
]
