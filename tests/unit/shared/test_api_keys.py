"""What a token of an API key says about itself, and that nothing can be told from its digest."""

from __future__ import annotations

import pytest

from shared.contract.api_keys import digest, new_token, services_named
from shared.contract.vocabulary import KEY_PREFIX, Service


@pytest.mark.parametrize(
    "services", [{Service.SCORING}, {Service.TRIGGER, Service.SCORING}, {Service.TRIGGER}, set(Service)]
)
def test_token_names_the_services_that_store_it(services: set[Service]) -> None:
    token = new_token(services)
    assert token.startswith(KEY_PREFIX)
    assert services_named(token) == services


@pytest.mark.parametrize("token", ["", "esk_", "esk_abc", "esk_s", "esk_s_", "esk_x_abc", "esk_sx_abc", "ESK_s_a"])
def test_other_tokens_name_none(token: str) -> None:
    assert services_named(token) == frozenset()


def test_tokens_and_digests_differ_and_the_order_of_services_does_not_count() -> None:
    tokens = [new_token([Service.TRIGGER, Service.SCORING]), new_token([Service.SCORING, Service.TRIGGER])]
    assert {token[:7] for token in tokens} == {"esk_st_"}
    assert len({digest(token) for token in tokens}) == 2
    assert {len(digest(token)) for token in tokens} == {32}
