"""An invalid stored request hides the history of its own invitation and of no other."""

from __future__ import annotations

import pytest

from services.dispatcher import history
from shared.web.problems import Unprocessable
from tests.integration.dispatcher.conftest import Chain, request


@pytest.mark.parametrize("damaged", ["{}", "[1]", '{"customer_id": 5, "send_at": "never"}'])
async def test_invalid_stored_request_hides_no_other_history(chain: Chain, damaged: str) -> None:
    bad, good = request("bad"), request("good")
    await chain.take(bad, good)
    await chain.rows("UPDATE invitations SET request = $2::text::jsonb WHERE id = $1", bad.invitation_id, damaged)
    async with chain.database.sessions.begin() as session:
        listed = {each.id: each for each in (await history.newest(session)).invitations}
        assert listed[good.invitation_id].send_at == good.send_at
        assert listed[bad.invitation_id].customer_id == ""
        assert (await history.of_invitation(session, good.invitation_id)).customer_id == "good"
        with pytest.raises(Unprocessable):
            await history.of_invitation(session, bad.invitation_id)
