"""Few acknowledgements for many deliveries, and never one for a delivery that is still open."""

from hypothesis import given, strategies as st

from parlor.adapters.rabbitmq.settlement import Ledger


def a_ledger(count: int) -> Ledger:
    ledger = Ledger()
    for tag in range(1, count + 1):
        ledger.enter(tag, "low")
    return ledger


def test_a_row_from_the_beginning_needs_one_mark() -> None:
    assert a_ledger(5).marks([1, 2, 3]) == [(3, True)]


def test_a_single_one_needs_no_row() -> None:
    assert a_ledger(5).marks([1]) == [(1, False)]


def test_what_is_above_an_open_one_is_marked_by_itself() -> None:
    assert a_ledger(5).marks([1, 2, 4, 5]) == [(2, True), (4, False), (5, False)]


def test_a_tag_is_settled_once() -> None:
    ledger = a_ledger(2)
    ledger.strike([1])
    assert ledger.unsettled([1, 1, 2, 2, 9]) == [2]


def test_a_queue_holds_what_is_open() -> None:
    ledger = a_ledger(2)
    ledger.enter(3, "high")
    ledger.strike([1])
    assert (ledger.held("low"), ledger.held("high"), ledger.held("default")) == (1, 1, 0)


@given(st.lists(st.sets(st.integers(1, 30))))
def test_the_broker_settles_exactly_what_was_settled(batches: list[set[int]]) -> None:
    """It knows only the marks, and refuses one for a tag that it has no more."""
    ledger, at_broker, wanted = a_ledger(30), set(range(1, 31)), set(range(1, 31))
    for batch in batches:
        settled = ledger.unsettled(batch)
        for tag, row in ledger.marks(settled):
            assert tag in at_broker
            at_broker -= {each for each in at_broker if each == tag or (row and each < tag)}
        ledger.strike(settled)
        wanted -= batch
        assert at_broker == wanted
