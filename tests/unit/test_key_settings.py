"""Settings that hold keys: taken, or refused by their names and without their values."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from parlor.config import BadSettings, Settings
from parlor.container import make_container
from parlor.core.identity.ports import AccessTokens, PublicKeys
from parlor.core.shared.ids import SessionId, UserId, uuid7
from tests.fakes.container import settings_for_tests
from tests.unit.security.test_signing import pem
from tests.unit.test_container import SERVERS

SECRET = "s" * 32


def container_of(**given: Any) -> Any:
    return make_container(settings_for_tests(**SERVERS, **given))


def test_private_keys_are_published_newest_first() -> None:
    container = container_of(SECURITY_PRIVATE_KEYS=pem("EdDSA") + pem("ES256"))
    assert [key["alg"] for key in container.get(PublicKeys).keys] == ["EdDSA", "ES256"]
    assert container_of().get(PublicKeys).keys == []


def test_tokens_from_before_there_was_a_private_key_still_count(tmp_path: Path) -> None:
    before = container_of().get(AccessTokens)
    file = tmp_path / "keys.pem"
    file.write_text(pem("ES256"))
    after = container_of(SECURITY_PRIVATE_KEYS_FILE=str(file)).get(AccessTokens)
    user_id = UserId(uuid7())
    token = before.issue(user_id, SessionId(uuid7()), epoch=0, token_id=uuid7()).token
    assert after.verify(token).user_id == user_id


@pytest.mark.parametrize("text", ["secretwords", pem("ES256") + "secretwords"], ids=["no key", "more"])
def test_a_key_that_cannot_sign_stops_the_start_by_its_variables_name(text: str) -> None:
    with pytest.raises(BadSettings) as refused:
        container_of(SECURITY_PRIVATE_KEYS=text)
    assert str(refused.value).startswith("SECURITY_PRIVATE_KEYS: ")
    assert "secretwords" not in str(refused.value)
    assert "BEGIN" not in str(refused.value)


def test_keys_are_set_in_one_way(tmp_path: Path) -> None:
    file = tmp_path / "keys.pem"
    file.write_text(pem("ES256"))
    with pytest.raises(BadSettings, match="not both"):
        container_of(SECURITY_PRIVATE_KEYS=pem("ES256"), SECURITY_PRIVATE_KEYS_FILE=str(file))


@pytest.mark.parametrize(
    ("text", "key", "scopes"),
    [
        (f"parlor_boot_{SECRET}=a:b,c:d", f"parlor_boot_{SECRET}", {"a:b", "c:d"}),
        (f"parlor_boot_{SECRET}== a:b , c:d ,", f"parlor_boot_{SECRET}=", {"a:b", "c:d"}),
        (f"parlor_boot_{SECRET}=", f"parlor_boot_{SECRET}", set()),
        ("parlor_B-1_0123456789abcdef=a:b", "parlor_B-1_0123456789abcdef", {"a:b"}),
    ],
    ids=range(4),
)
def test_a_bootstrap_key_comes_with_its_scopes(text: str, key: str, scopes: set[str]) -> None:
    assert settings_for_tests(PARLOR_BOOTSTRAP_API_KEY=text).bootstrap == (key, frozenset(scopes))


@pytest.mark.parametrize("unset", [{}, {"PARLOR_BOOTSTRAP_API_KEY": ""}], ids=["none", "empty"])
def test_there_need_be_no_bootstrap_key(unset: dict[str, str]) -> None:
    assert settings_for_tests(**unset).bootstrap is None


@pytest.mark.parametrize(
    "text",
    [
        "secretwords",
        f"parlor_boot_{SECRET}",
        f"parlor__{SECRET}=a:b",
        f"parlor_bo ot_{SECRET}=a:b",
        f"{SECRET}=a:b",
        "parlor_boot_short=a:b",
        f"parlor_boot_{SECRET}\xe9=a:b",
        f"parlor_boot_{SECRET}=secretwords",
        f"parlor_boot_{SECRET}=a:b;c:d",
    ],
    ids=range(9),
)
def test_what_is_no_bootstrap_key_is_refused_by_its_variables_name(text: str) -> None:
    with pytest.raises((BadSettings, ValidationError)) as refused:
        settings_for_tests(PARLOR_BOOTSTRAP_API_KEY=text)
    told = (
        "; ".join(error["msg"] for error in refused.value.errors(include_input=False))
        if isinstance(refused.value, ValidationError)
        else str(refused.value)
    )
    assert "PARLOR_BOOTSTRAP_API_KEY" in told
    assert "secretwords" not in told
    assert SECRET not in told


def test_production_asks_for_a_longer_secret() -> None:
    given = {"SECURITY_SECRET_KEY": SECRET, "PARLOR_BOOTSTRAP_API_KEY": "parlor_boot_0123456789abcdef=a:b"}
    assert settings_for_tests(**given).bootstrap
    with pytest.raises((BadSettings, ValidationError)):
        settings_for_tests(**given, PARLOR_ENV="production")


def test_keys_do_not_show_themselves() -> None:
    settings: Settings = settings_for_tests(
        SECURITY_PRIVATE_KEYS=pem("ES256"), PARLOR_BOOTSTRAP_API_KEY=f"parlor_boot_{SECRET}=a:b"
    )
    assert SECRET not in repr(settings)
    assert "BEGIN" not in repr(settings)
