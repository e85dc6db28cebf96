"""Messages that have been kept long enough: deleted from the oldest on, a chat's first place moving with them.

Ids are made in the order of time, so the oldest messages of all chats stand first in the index on ids; no other index
is kept for them. What goes is always the beginning of a chat, up to a place. It is a change of the chat, with the next
rev (`forgotten_rev`): whoever has followed to an older one is told of a gap, and by `/changes` what is still there.
"""

# Each may be of another chat, whose writers wait as long as the batch takes.
BATCH = 200

# Arrays, and a lateral `offset 0`, keep the planner from reading whole tables for what it takes to be many rows.
# One worker at a time. Locks are taken in the order of all of them: messages, then heads, both by their keys.
FORGET = f"""
with mine as materialized (select pg_try_advisory_xact_lock(hashtext('parlor.messages')) as got),
youngest as materialized (
    select (lpad(to_hex((extract(epoch from clock_timestamp() - $1::interval) * 1000)::bigint), 12, '0')
           || repeat('0', 20))::uuid as id),
old as materialized (
    select chat_id, max(seq) as upto from (
        select chat_id, seq from messages
         where (select got from mine) and id < (select id from youngest)
         order by id limit {BATCH}) oldest
     group by chat_id),
gone as materialized (
    select m.id, m.chat_id, m.seq from (select * from old order by chat_id) old cross join lateral (
        select id, chat_id, seq from messages
         where chat_id = old.chat_id and seq <= old.upto order by seq for update) m),
heads as materialized (
    select chat_id from chat_heads
     where chat_id = any(array(select distinct chat_id from gone)) order by chat_id for no key update),
moved as (
    update chat_heads h
       set first_seq = greatest(h.first_seq, old.upto + 1), last_rev = h.last_rev + 1, forgotten_rev = h.last_rev + 1
      from old join heads using (chat_id) where h.chat_id = old.chat_id),
forgotten as (
    delete from reactions where ctid = any(array(
        select r.ctid from gone cross join lateral (
            select ctid from reactions where chat_id = gone.chat_id and seq = gone.seq offset 0) r)))
delete from messages where id = any(array(select id from gone))"""
