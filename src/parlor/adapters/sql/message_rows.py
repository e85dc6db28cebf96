"""Messages as rows and as JSON, and the statement that posts one."""

from asyncpg import Record

from parlor.adapters.sql.driver import PooledConnection
from parlor.adapters.sql.views import json_object, moment, same
from parlor.core.chats.changes import Change, ChangeKind
from parlor.core.chats.events import MessagePosted
from parlor.core.chats.messages import Draft, Posted, UnknownMessage
from parlor.core.chats.searching import words_of
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import ChatId, MessageId

# No word holds it: see `words_of`. So nobody finds a whole chat by the beginning of what it is called here.
CHAT_SIGN = "#"

MESSAGE = json_object(
    same("id", "chat_id", "seq", "rev", "author_id", "kind", "text", "reply_to", "client_id")
    | {name: moment(name) for name in ("edited_at", "deleted_at")}
    | same("reactions")
    | {"created_at": moment("created_at")}
)

# The author's own row is locked first: who is being put out right now either still posts, or is gone. Whoever was
# there before under the same `client_id` is the answer, and no place is taken. The head's lock comes last: from then
# on nobody else gets a place in this chat until the commit, so that places are in the order of commits.
_ME = """
me as materialized (
    select user_id from chat_members
     where chat_id = $2 and user_id = $3 and left_at is null for no key update),
earlier as materialized (
    select m.* from messages m join me on m.author_id = me.user_id where m.chat_id = $2 and m.client_id = $4),"""
_NOBODY = """
me as (select $3::uuid as user_id),
earlier as (select m.* from messages m where $4::text is not null and false),"""
_POST = """
with {author}
head as (
    update chat_heads h
       set last_seq = last_seq + 1, last_rev = last_rev + 1, active_at = greatest(active_at, clock_timestamp())
      from me
     where h.chat_id = $2 and not exists (select from earlier)
       and ($6::uuid is null or exists (select from messages where id = $6 and chat_id = $2))
    returning h.last_seq, h.last_rev, h.active_at),
posted as (
    insert into messages (id, chat_id, seq, rev, author_id, kind, text, reply_to, client_id, created_at, found_by)
    select $1, $2, last_seq, last_rev, $3, {kind}, $5, $6, $4, active_at, array_to_tsvector($7) from head
    returning *),
read as (
    update chat_members m set read_seq = p.seq
      from posted p where m.chat_id = p.chat_id and m.user_id = p.author_id){told}
select (select count(*) from me) as members, answer.*
  from (values (0)) one
  left join (select true as new, id, seq, rev, text, false as changed, {message}::text as json from posted
             union all
             select false, id, seq, rev, text, edited_at is not null or deleted_at is not null, {message}::text
               from earlier) answer on true"""
_TOLD = f"""
,numbered as (
    insert into event_numbers (subject, last) select chat_id, 1 from posted
    on conflict (subject) do update set last = event_numbers.last + 1
    returning last),
told as (
    insert into event_outbox (lane, event_id, name, version, subject, sequence, traceparent, body)
    select $8, $9, '{MessagePosted.name}', {MessagePosted.version}, p.chat_id, n.last, $10,
           jsonb_build_object('chat_id', p.chat_id, 'message_id', p.id, 'seq', p.seq, 'author_id', p.author_id)
      from posted p, numbered n)"""

POST = _POST.format(author=_ME, kind="'user'", told="", message=MESSAGE)
POST_AND_TELL = _POST.format(author=_ME, kind="'user'", told=_TOLD, message=MESSAGE)
POST_FOR_THE_SYSTEM = _POST.format(author=_NOBODY, kind="'system'", told="", message=MESSAGE)


def chat_word(chat_id: ChatId) -> str:
    """Name what every message of a chat is found by: with it the index looks into one chat alone."""
    return f"{CHAT_SIGN}{chat_id.hex}"


def found_by(chat_id: ChatId, text: str) -> list[str]:
    """List all that a message is found by."""
    return [chat_word(chat_id), *words_of(text)]


async def post(session: PooledConnection, sql: str, draft: Draft, *more: object) -> Posted:
    """Run one of the statements. Raises NotFound, UnknownMessage."""
    row = await session.fetchrow(
        sql,
        draft.id,
        draft.chat_id,
        draft.author_id,
        draft.client_id,
        draft.text,
        draft.reply_to,
        found_by(draft.chat_id, draft.text),
        *more,
    )
    assert row is not None, "the statement always answers one row"
    if not row["members"]:
        raise NotFound
    if row["id"] is None:
        raise UnknownMessage
    return posted(row)


def posted(row: Record) -> Posted:
    """Read what the statement answers."""
    return Posted(
        id=MessageId(row["id"]),
        seq=row["seq"],
        rev=row["rev"],
        json=row["json"].encode(),
        new=row["new"],
        text=row["text"],
        changed=row["changed"],
    )


def created(chat_id: ChatId, posted: Posted) -> Change:
    """Tell of a new message."""
    return Change(chat_id, posted.rev, ChangeKind.CREATED, message=posted.json)
