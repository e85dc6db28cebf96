"""What a user gets who asks for everything that is kept about them."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from parlor.core.shared.export import ExportSection
from parlor.core.shared.ids import UserId


@dataclass(frozen=True, slots=True)
class AccountExport:
    """One JSON object, a member for each section: read and given piece by piece, so that its size costs no memory."""

    sections: Sequence[ExportSection]

    async def __call__(self, user_id: UserId) -> AsyncIterator[bytes]:
        for number, section in enumerate(self.sections):
            yield f'{"," if number else "{"}"{section.name}":'.encode()
            async for piece in section(user_id):
                yield piece
        yield b"}"
