"""Files that appear whole or not at all, streams that are written into, and what an ended run leaves behind.

Every file that Counterbias writes goes through here. A regular file is written beside its final place under a temporary name and
renamed when it is complete, so that an interrupted run or a full disk leaves what was there before. Streams (``/dev/stdout``,
``/dev/fd/3``, a named pipe, ``/dev/null``) are written into and never replaced. Symbolic links stay links: their target is written.
"""

from counterbias.files.names import readable
from counterbias.files.partial import abandon, remove_leftovers, remove_leftovers_in
from counterbias.files.streams import descriptor_of, is_stream
from counterbias.files.whole import (
    can_be_made,
    nameless_file,
    new_folder,
    scratch_folder,
    temporary_errors,
    whole_folder,
    whole_stream,
    whole_text,
    writing_errors,
)

__all__ = [
    "abandon",
    "can_be_made",
    "descriptor_of",
    "is_stream",
    "nameless_file",
    "new_folder",
    "readable",
    "remove_leftovers",
    "remove_leftovers_in",
    "scratch_folder",
    "temporary_errors",
    "whole_folder",
    "whole_stream",
    "whole_text",
    "writing_errors",
]
