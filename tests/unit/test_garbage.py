"""What a long-lived process spares its garbage collector."""

import gc

from parlor.entrypoints.garbage import spare_what_is_made


def test_what_is_made_is_left_out_of_later_collections() -> None:
    made: list[object] = []
    try:
        spare_what_is_made()
        assert all(made is not one for one in gc.get_objects())
    finally:
        gc.unfreeze()
    assert any(made is one for one in gc.get_objects())
