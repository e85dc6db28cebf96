"""How much is tried: a little and always the same in `make test`, as much as one likes in `make fuzz`."""

import os
from dataclasses import dataclass

VARIABLE = "PARLOR_FUZZ_EXAMPLES"


@dataclass(frozen=True, slots=True)
class Budget:
    """So many examples; at random only where somebody has asked for a number."""

    examples: int
    derandomized: bool

    @classmethod
    def of(cls, few: int) -> "Budget":
        """Take the number that was asked for, or else the few that every run can afford."""
        asked = os.environ.get(VARIABLE)
        return cls(few, derandomized=True) if asked is None else cls(int(asked), derandomized=False)
