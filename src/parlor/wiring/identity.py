"""Identity: users through their cache, passwords and tokens."""

from collections.abc import Sequence
from datetime import timedelta

from parlor.adapters.caching.principals import CachedPrincipals
from parlor.adapters.caching.role_book import CachedRoleBook
from parlor.adapters.caching.users import TTL_S, CachedUserChanges, CachedUsers
from parlor.adapters.health import nothing, step
from parlor.adapters.security.common_passwords import ShippedCommonPasswords
from parlor.adapters.security.passwords import BcryptHasher
from parlor.adapters.security.signing import BadKey, SigningKey, private_keys
from parlor.adapters.security.tokens import DerivedRefreshTokens, JwtAccessTokens, RememberedTokens
from parlor.adapters.sql import export, export_social
from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.history import SqlAttempts, SqlLoginViews
from parlor.adapters.sql.identity import SqlDirectory
from parlor.adapters.sql.roles import SqlRoleBook, SqlRoleViews
from parlor.adapters.sql.sessions import SqlFamilies, SqlSessionViews
from parlor.adapters.sql.user_views import SqlUserViews
from parlor.config import BadSettings, Settings
from parlor.core.identity.administration import UserViews
from parlor.core.identity.attempts import Attempts, LoginGuard
from parlor.core.identity.entering import Enter
from parlor.core.identity.export import AccountExport
from parlor.core.identity.hints import FeedUserHints, UserHints
from parlor.core.identity.history import LoginViews
from parlor.core.identity.passwords import CheckPassword
from parlor.core.identity.ports import (
    AccessTokens,
    Directory,
    Families,
    PasswordHasher,
    Principals,
    PublicKeys,
    RefreshTokens,
    UserChanges,
)
from parlor.core.identity.roles import RoleViews, TokenClaims
from parlor.core.identity.sessions import SessionViews
from parlor.core.identity.use_cases import GraceWindow, PasswordPolicy
from parlor.core.shared.caching import Cache
from parlor.core.shared.clock import system_clock
from parlor.core.shared.export import ExportSection
from parlor.core.shared.feed import Feed
from parlor.wiring.api_keys import wire_api_keys
from parlor.wiring.assembly import Assembly
from parlor.wiring.metrics import show_cache
from parlor.wiring.modes import Mode

AUDIENCE = "parlor"
EMBEDDED_TTL_S = 1.0


def wire_users(parts: Assembly, database: Database, mode: Mode) -> UserChanges:
    """Put the caches in front of the users; answers whom every write must tell."""
    cache, feed = parts.get(Cache), parts.get(Feed)
    # Embedded, the command line is another process that cannot reach this one's cache: it forgets sooner.
    ttl_s = EMBEDDED_TTL_S if mode is Mode.EMBEDDED else TTL_S
    book = CachedRoleBook(SqlRoleBook(database))
    directory = CachedUsers(SqlDirectory(database), cache, book, ttl_s=ttl_s)
    principals = CachedPrincipals(directory, feed, book)
    show_cache(parts.meters, "users", directory.looks)
    show_cache(parts.meters, "principals", principals.looks)
    parts.add(Directory, directory)
    parts.add(Principals, principals)
    parts.add(UserHints, FeedUserHints(feed))
    parts.add(UserViews, SqlUserViews(database))
    parts.add(RoleViews, SqlRoleViews(database))
    parts.add(Attempts, SqlAttempts(database))
    parts.add(LoginGuard, parts.build(LoginGuard))
    parts.add(LoginViews, SqlLoginViews(database))
    parts.add(SessionViews, SqlSessionViews(database))
    parts.add(Families, SqlFamilies(database))
    return CachedUserChanges(cache, principals, wire_api_keys(parts, database, ttl_s))


def wire_identity(parts: Assembly, settings: Settings) -> None:
    """Passwords in a pool of their own, tokens under the server's secrets."""
    hasher = BcryptHasher(cost=settings.bcrypt_cost, meters=parts.meters)
    parts.opens(nothing, step(hasher.close))
    parts.add(PasswordHasher, hasher)
    parts.add(PasswordPolicy, PasswordPolicy(ShippedCommonPasswords()))
    claims = TokenClaims(roles="roles" in settings.token_claims)
    parts.add(TokenClaims, claims)
    private = _private_keys(settings)
    tokens = JwtAccessTokens(
        # HS256 goes on to verify beside private keys, so that who introduces these logs nobody out.
        [*private, *map(SigningKey.shared, settings.secrets)],
        issuer=AUDIENCE,
        audience=AUDIENCE,
        clock=system_clock,
        ttl_s=settings.access_ttl_s,
        with_roles=claims.roles,
    )
    parts.add(PublicKeys, PublicKeys([key.public for key in private if key.public is not None]))
    remembered = RememberedTokens(tokens, clock=system_clock)
    show_cache(parts.meters, "tokens", remembered.looks)
    parts.add(AccessTokens, remembered)
    parts.add(RefreshTokens, DerivedRefreshTokens(settings.secrets))
    parts.add(GraceWindow, GraceWindow(timedelta(seconds=settings.refresh_grace_s)))


def wire_accounts(parts: Assembly, database: Database) -> None:
    """What an account's owner does with it: a check of the password, and an export, one line a section."""
    parts.add(CheckPassword, parts.build(CheckPassword))
    parts.add(Enter, parts.build(Enter))
    sections: list[ExportSection] = [
        export.profile(database),
        export.roles(database),
        export.sessions(database),
        export.logins(database),
        export.api_keys(database),
        export_social.parties(database),
        export_social.invitations(database),
        export_social.sent_invitations(database),
        export_social.chats(database),
        export_social.messages(database),
        export_social.reactions(database),
        export.tasks(database),
        export.schedules(database),
    ]
    parts.add(AccountExport, AccountExport(sections))


def _private_keys(settings: Settings) -> Sequence[SigningKey]:
    text = settings.private_keys
    try:
        return private_keys(text) if text else ()
    except BadKey as error:
        raise BadSettings(f"SECURITY_PRIVATE_KEYS: {error}") from None
