"""What a text is found by, and what a query asks for, in many scripts."""

import pytest

from parlor.core.chats.searching import MAX_ASKED, MAX_WORD, MOST_MEANT, asked_for, meant_by, words_of


def finds(query: str, text: str) -> bool:
    """Whether each term is one of the text's words, or the beginning of one."""
    words = words_of(text)
    return all(
        any(word.startswith(term[:-1]) if term.endswith("*") else word == term for word in words)
        for term in asked_for(query)
    )


FOUND = [
    ("word", "hello", "Hello, world!"),
    ("words in any order", "world hello", "Hello, world!"),
    ("beginning", "wor", "Hello, world!"),
    ("case", "STRASSE", "die Straße"),
    ("wide forms", "abc", "\uff21\uff22\uff23"),
    ("composed or not", "caf\u00e9", "cafe\u0301"),
    ("number", "42", "room 42b"),
    ("underscore", "read_up", "the field read_up_to"),
    ("part of an address", "example", "ada@mail.example.org"),
    ("Russian", "привет", "Привет, мир"),
    ("Russian beginning", "мир", "Всем мирного дня"),
    ("Greek final sigma", "οδοσ", "ΟΔΟΣ"),
    ("Chinese word", "北京", "我们去北京吃饭"),
    ("Chinese phrase", "北京吃饭", "我们去北京吃饭"),
    ("Chinese character", "京", "我们去北京吃饭"),
    ("Chinese last character", "饭", "我们去北京吃饭"),
    ("Japanese", "ラーメン", "今夜はラーメンを食べる"),
    ("Japanese mixed", "食べ", "今夜はラーメンを食べる"),
    ("half-width kana", "ラーメン", "ﾗｰﾒﾝ"),
    ("Chinese beside Latin", "北京 api", "去北京API会议"),
    ("Korean with a particle", "서울", "서울에서 만나요"),
    ("Thai", "กรุงเทพ", "ไปกรุงเทพกัน"),
    ("Hindi", "हिन्दी", "मुझे हिन्दी आती है"),
    ("Arabic", "مرحبا", "مرحبا بالعالم"),
]
NOT_FOUND = [
    ("another word", "moon", "Hello, world!"),
    ("one word of two", "hello moon", "Hello, world!"),
    ("the end of a word", "orld", "Hello, world!"),
    ("other Chinese", "上海", "我们去北京吃饭"),
    ("characters apart", "北饭", "我们去北京吃饭"),
    ("other Russian", "пока", "Привет, мир"),
]


@pytest.mark.parametrize(("query", "text"), [one[1:] for one in FOUND], ids=[one[0] for one in FOUND])
def test_a_text_is_found(query: str, text: str) -> None:
    assert finds(query, text)


@pytest.mark.parametrize(("query", "text"), [one[1:] for one in NOT_FOUND], ids=[one[0] for one in NOT_FOUND])
def test_a_text_is_not_found(query: str, text: str) -> None:
    assert not finds(query, text)


@pytest.mark.parametrize("text", ["", " \n", "!?", "' & | \\ :*", "🎉"])
def test_what_has_no_word_is_found_by_nothing(text: str) -> None:
    assert words_of(text) == asked_for(text) == []


def test_what_a_query_language_means_by_its_signs_is_no_part_of_a_word() -> None:
    assert asked_for("it's a:* & 'b' | !c <-> \\d") == ["it*", "s*", "a*", "b*", "c*", "d*"]


def test_words_are_listed_once_and_cut_where_they_are_endless() -> None:
    assert words_of("one two One") == ["one", "two"]
    assert words_of("x" * 100) == ["x" * MAX_WORD]
    assert asked_for("x" * 100) == ["x" * MAX_WORD + "*"]
    assert len(asked_for(" ".join(f"w{n}" for n in range(50)))) == MAX_ASKED


@pytest.mark.parametrize("slip", ["drgon", "draggon", "dargon", "drakon", "dragons", "ragon", "dragno"])
def test_one_slip_is_forgiven(slip: str) -> None:
    assert meant_by(slip + "*", ["dragon", "wyvern", "x"]) == ["dragon*"]


@pytest.mark.parametrize("other", ["drgn", "dragonss", "gardon", "", "dra", "drg"])
def test_two_are_not_nor_one_in_a_short_word(other: str) -> None:
    assert meant_by(other + "*", ["dragon", "drag"]) == []


def test_a_number_is_meant_as_it_is_and_twenty_words_are_enough() -> None:
    assert meant_by("12345*", ["12346"]) == []
    assert len(meant_by("word*", [f"word{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"])) == MOST_MEANT
