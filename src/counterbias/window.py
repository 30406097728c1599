"""The window of bases around a read start that a bias model sees."""

from __future__ import annotations

from dataclasses import dataclass

from counterbias.errors import InputError

#: Most bases of a window.
WIDEST = 255


@dataclass(frozen=True, slots=True)
class Window:
    """The bases around a read start that a bias model sees.

    Args:
        upstream: bases before the read's first base (on the read's strand).
        downstream: bases after it.
    """

    upstream: int = 10
    downstream: int = 10

    def __post_init__(self) -> None:
        if self.upstream < 0 or self.downstream < 0 or self.width > WIDEST:
            raise InputError(
                f"a window of {self.upstream},{self.downstream} cannot be used",
                remedy="give two numbers from 0 to 127, as in --bias-window 10,10",
            )

    @property
    def width(self) -> int:
        """Number of bases: upstream, the read's first base, downstream."""
        return self.upstream + 1 + self.downstream

    @property
    def margin(self) -> int:
        """Least distance, in bases, at which the windows of two positions share no base.

        It holds for positions on either strand.
        """
        return 2 * max(self.upstream, self.downstream) + 1

    @classmethod
    def parse(cls, text: str) -> Window:
        """Read ``UPSTREAM,DOWNSTREAM``, as in ``10,10``. Raises InputError."""
        try:
            upstream, downstream = (int(part) for part in text.split(","))
        except ValueError:
            raise InputError(
                f"'{text}' is not a window", remedy="give two numbers, as in --bias-window 10,10"
            ) from None
        return cls(upstream, downstream)

    def __str__(self) -> str:
        return f"{self.upstream},{self.downstream}"
