"""The statement of a search for parties: which rows, in which order, after which key.

Each arm stands on one index and stops by itself, so no statement sorts more rows than a page or a thousand
candidates. A trigram arm has no order of its own: with one, the planner walks the index of that order instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from parlor.adapters.sql.naming import grams_of, key_of, swapped
from parlor.core.parties.model import Visibility
from parlor.core.parties.ports import PartySearch, Sort
from parlor.core.shared.ids import UserId
from parlor.core.shared.paging import Key, PageRequest

# Low enough for a slip in a short name: `dagon` is 0.33 like `dragon`. The second is for when nothing is as much alike
# as the first: at once, it would fill the candidates with what is hardly alike. Two letters that changed places are too
# much (`dargon` is 0.18 like `dragons`): names that hold the word put right are looked for beside, and count as 0.6.
LIKENESS = (0.25, 0.15)
LIKENESS_PUT_RIGHT = 0.6
# A sequential scan that stops at a limit looks cheap to the planner, and reads half a table of unlike names.
_PREPARE = """
begin read only; set local statement_timeout = 500; set local enable_seqscan = off;
set local pg_trgm.word_similarity_threshold = {0}"""

CANDIDATES = 1000
PREFIXED = 100
OWN = 100
SHORTEST = 3
NAME = "p.name_key"
PLACES = {
    Sort.NEW: ("p.created_at", "timestamptz", "desc"),
    Sort.MEMBERS: ("p.member_count", "int", "desc"),
    Sort.NAME: (NAME, "text", "asc"),
    Sort.BEST: ("p.score", "bigint", "desc"),
}


@dataclass(slots=True)
class Statement:
    """A statement while it is written, and what stands behind its numbers."""

    arguments: list[object] = field(default_factory=list)

    def bind(self, value: object) -> str:
        """Answer the number of a value."""
        self.arguments.append(value)
        return f"${len(self.arguments)}"


@dataclass(frozen=True, slots=True)
class Arm:
    """Rows that one index finds."""

    rows: str
    wheres: Sequence[str]
    own: bool = False

    def select(self, columns: str, *more: str) -> str:
        """Write it with more conditions."""
        return f"select {columns} from {self.rows} where {' and '.join([*self.wheres, *more]) or 'true'}"


def written(
    search: PartySearch, page: PageRequest, item: str, *, everything: bool, viewer: UserId | None
) -> tuple[str, list[object]]:
    """Write the statement of a page, and its arguments."""
    statement = Statement()
    key = key_of(search.q or "")
    arms = _arms(statement, search, everything=everything, viewer=viewer)
    if not key or (not _has_trigrams(key) and search.order in (Sort.BEST, Sort.NAME)):
        order = Sort.NAME if key else search.order
        candidates = _in_order(statement, order, key, page, arms)
    else:
        order, candidates = search.order, _ranked(statement, key, arms)
    return _page(statement, order, candidates, page, item), statement.arguments


def prepare(likeness: float) -> str:
    """Write what begins the transaction of a search for words, with limits of its own."""
    return _PREPARE.format(likeness)


def has_words(search: PartySearch) -> bool:
    """Whether names are compared, which needs what `prepare` sets."""
    return bool(key_of(search.q or ""))


def _has_trigrams(key: str) -> bool:
    """Two letters of a script that is spelt with four each are as good as three."""
    return sum(map(str.isalnum, grams_of(key))) >= SHORTEST


def _arms(statement: Statement, search: PartySearch, *, everything: bool, viewer: UserId | None) -> list[Arm]:
    """Find who looks at what: all that is public, and of the rest one's own, unless one sees everything."""
    room = ["p.member_count < p.capacity"] if search.has_room else []
    kinds = [search.visibility] if search.visibility else list(Visibility)
    if search.mine is not None:
        named = [f"p.visibility = '{search.visibility}'"] if search.visibility else []
        return [Arm(_seats_of(statement, search.mine), [*named, *room], own=True)]
    arms = [
        Arm("parties p", [f"p.visibility = '{kind}'", *room])
        for kind in kinds
        if everything or kind is Visibility.PUBLIC
    ]
    if not everything and Visibility.PRIVATE in kinds:
        arms.append(Arm(_seats_of(statement, viewer), ["p.visibility = 'private'", *room], own=True))
    return arms


def _seats_of(statement: Statement, user_id: UserId | None) -> str:
    """Look each of somebody's parties up: `offset 0` keeps the planner from reading all the others beside them."""
    return f"""(select party_id from party_members where user_id = {statement.bind(user_id)}) m
        cross join lateral (select * from parties where id = m.party_id offset 0) p"""


def _in_order(statement: Statement, order: Sort, key: str, page: PageRequest, arms: Sequence[Arm]) -> str:
    """Let each arm walk its index from the page's key on; short words are a range of names."""
    place, _, direction = PLACES[order]
    wheres = [_beginning_with(statement, key)] if key else []
    wheres += _after(statement, order, page.after)
    end = f"order by {place} {direction}, p.id {direction} limit {page.limit + 1}"
    return " union all ".join(f"({arm.select('p.*', *wheres)} {end})" for arm in arms)


def _ranked(statement: Statement, key: str, arms: Sequence[Arm]) -> str:
    """Collect candidates: names that begin so, and names that are like it. Filters apply inside."""
    begins = _beginning_with(statement, key)
    alike = _like(statement, key) if _has_trigrams(key) else None
    selects: list[str] = []
    for arm in arms:
        begun, like = _shares(arms, arm)
        if arm.own:
            selects.append(f"({arm.select('p.*', f'({begins} or {alike or False})')} limit {like})")
            continue
        most = begun if alike else begun + like
        selects.append(f"({arm.select('p.*', begins)} order by {NAME}, p.id limit {most})")
        if alike:
            selects.append(f"({_hidden(arm).select('p.*', alike)} limit {like})")
    return f"select p.*, {_score(statement, key)} as score from ({' union '.join(selects)}) p"


def _shares(arms: Sequence[Arm], arm: Arm) -> tuple[int, int]:
    """Divide the candidates, so that none has to be left out again: how many that begin so, how many that are like."""
    others = sum(not one.own for one in arms)
    if arm.own:
        return 0, OWN if others else CANDIDATES
    return PREFIXED, (CANDIDATES - OWN * (len(arms) - others)) // others - PREFIXED


def _hidden(arm: Arm) -> Arm:
    """Say the arm's conditions in a way that no index answers: the trigrams' shall."""
    return Arm(arm.rows, [f"({where}) is true" for where in arm.wheres])


def _beginning_with(statement: Statement, key: str) -> str:
    return f"({NAME} >= {statement.bind(key)} and {NAME} < {statement.bind(key + chr(0x10FFFF))})"


def _like(statement: Statement, key: str) -> str:
    return f"({' or '.join([f'{statement.bind(grams_of(key))}::text <% p.name_grams', *_put_right(statement, key)])})"


def _put_right(statement: Statement, key: str) -> Sequence[str]:
    """Ask for each word that may have been meant; none of them is a pattern, nor too short for trigrams."""
    meant = [word for word in map(grams_of, swapped(key)) if word.isalnum()]
    return [f"p.name_grams like {statement.bind(f'%{word}%')}" for word in meant]


def _score(statement: Statement, key: str) -> str:
    """Weigh: the name itself, its beginning, words of it, and then how much alike they are."""
    named, grams = statement.bind(key), statement.bind(grams_of(key))
    put_right = " or ".join(_put_right(statement, key)) or "false"
    least = f"case when {put_right} then {LIKENESS_PUT_RIGHT} else 0 end"
    word = f"greatest(word_similarity({grams}, p.name_grams), {least})"
    likeness = f"{word} * 500000 + similarity({grams}, p.name_grams) * 499999"
    return f"""(
        case when p.name_key = {named} then 3000000
             when starts_with(p.name_key, {named}) then 2000000
             when position(' ' || {named} || ' ' in ' ' || p.name_key || ' ') > 0 then 1000000
             else 0 end + floor({likeness}))::bigint"""


def _after(statement: Statement, order: Sort, key: Key | None) -> list[str]:
    if key is None:
        return []
    place, kind, direction = PLACES[order]
    sign = "<" if direction == "desc" else ">"
    at, last = statement.bind(key[0]), statement.bind(key[1])
    return [f"({place}, p.id) {sign} ({at}::text::{kind}, {last}::text::uuid)"]


def _page(statement: Statement, order: Sort, candidates: str, page: PageRequest, item: str) -> str:
    """Show the first candidates that follow the key, and the last one's key where more do."""
    place, _, direction = PLACES[order]
    after = " and ".join(_after(statement, order, page.after)) or "true"
    rank = f"{place} {direction}, p.id {direction}"
    limit = page.limit
    return f"""
with candidates as materialized ({candidates}),
page as (
    select {item}::text as item, ({place})::text as place, p.id::text as id, row_number() over (order by {rank}) as n
      from candidates p where {after} order by {rank} limit {limit + 1})
select '[' || coalesce(string_agg(item, ',' order by n) filter (where n <= {limit}), '') || ']' as items,
       max(n) > {limit} as more, max(place) filter (where n = {limit}) as place,
       max(id) filter (where n = {limit}) as id
  from page"""
