"""Who is there, as several processes tell it."""

from parlor.core.chats.presence import FORGET_S, GRACE_S, REPEAT_S, Attendance, Company, announcement
from parlor.core.shared.ids import ChatId, UserId, uuid7

CHAT, OTHER = ChatId(uuid7()), ChatId(uuid7())
ADA, BOB = UserId(uuid7()), UserId(uuid7())
HERE, THERE = b"h" * 16, b"t" * 16


def said(source: bytes, *users: UserId) -> bytes:
    return announcement(CHAT, source, users).message


def test_who_is_told_of_is_online_once() -> None:
    room = Attendance(HERE)
    room.hear(said(THERE, BOB), 0)
    assert list(room.changed(0)) == [(BOB, True)]
    assert list(room.changed(1)) == []


def test_who_is_told_of_no_more_is_gone_after_a_moment() -> None:
    room = Attendance(HERE)
    room.hear(said(THERE, BOB), 0)
    list(room.changed(0))
    room.hear(said(THERE), 1)
    assert list(room.changed(GRACE_S - 1)) == []
    assert list(room.changed(GRACE_S)) == [(BOB, False)]


def test_who_changes_to_another_process_was_never_gone() -> None:
    room = Attendance(HERE)
    room.hear(said(THERE, BOB), 0)
    list(room.changed(0))
    room.hear(said(THERE), 1)
    room.hear(said(HERE, BOB), 2)
    assert list(room.changed(2)) + list(room.changed(2 + GRACE_S)) == []


def test_a_process_that_says_nothing_any_more_is_forgotten() -> None:
    room = Attendance(HERE)
    room.hear(said(THERE, BOB), 0)
    list(room.changed(FORGET_S - 1))
    assert list(room.changed(FORGET_S + GRACE_S)) == [(BOB, False)]


def test_it_is_said_who_is_here_when_that_is_news_and_from_time_to_time() -> None:
    room = Attendance(HERE)
    assert room.due({ADA}, 0)
    assert not room.due({ADA}, 1)
    assert room.due({ADA, BOB}, 1)
    assert room.due({ADA, BOB}, 1 + REPEAT_S)


def test_a_process_that_is_new_is_told_at_once() -> None:
    room = Attendance(HERE)
    room.due({ADA}, 0)
    room.hear(said(HERE, ADA), 0)
    assert not room.due({ADA}, 1)
    room.hear(said(THERE), 1)
    assert room.due({ADA}, 1)
    room.hear(said(THERE), 2)
    assert not room.due({ADA}, 2)


def test_somebody_is_shown_once_however_many_chats_they_are_in() -> None:
    company = Company()
    assert company.show(CHAT, BOB, online=True)
    assert not company.show(OTHER, BOB, online=True)
    assert not company.show(CHAT, BOB, online=False)
    assert company.show(OTHER, BOB, online=False)
    assert not company.show(OTHER, BOB, online=False)


def test_a_chat_that_is_followed_no_longer_says_nothing() -> None:
    company = Company()
    company.show(CHAT, BOB, online=True)
    company.forget(CHAT)
    assert company.show(CHAT, BOB, online=True)
