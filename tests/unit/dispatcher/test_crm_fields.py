"""The setting that says which fields of Bitrix24 get an answer."""

from __future__ import annotations

import pytest

from services.dispatcher.config import DispatcherSettings
from services.dispatcher.domain.crm_fields import CrmEntity, CrmFields, read_field_names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", {}),
        (" , ", {}),
        ("contact.score:UF_CRM_NPS", {"contact.score": "UF_CRM_NPS"}),
        (
            " contact.score : UF_CRM_1 , deal.date:UF_CRM_1,company.group:UF_CRM_2,",
            {"contact.score": "UF_CRM_1", "deal.date": "UF_CRM_1", "company.group": "UF_CRM_2"},
        ),
    ],
)
def test_pairs_of_a_value_and_a_field_are_read(text: str, names: dict[str, str]) -> None:
    assert read_field_names(text) == names


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("contact.score", "contact.score: expected a field of your own such as UF_CRM_NPS, found none"),
        ("contact.nps:UF_CRM_NPS", "contact.nps: expected one of contact.score, contact.group, contact.date"),
        ("lead.score:UF_CRM_NPS", "lead.score: expected one of"),
        ("contact.score:NAME", "found NAME"),
        ("contact.score:STAGE_ID", "found STAGE_ID"),
        ("contact.score:uf_crm_nps", "found uf_crm_nps"),
        ("contact.score:UF_CRM_" + "X" * 200, "expected a field of your own"),
        ("contact.score:UF_CRM_A:B", "found UF_CRM_A:B"),
        ("contact.score:UF_CRM_A,contact.score:UF_CRM_B", "is there twice"),
        ("contact.score:UF_CRM_A,contact.group:UF_CRM_A", "is there twice"),
    ],
)
def test_unknown_values_standard_fields_and_repeated_ones_are_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match="bitrix24_fields") as error:
        DispatcherSettings(_env_file=None, bitrix24_fields=text)
    assert said in str(error.value)


def test_fields_of_an_entity_are_named_by_value() -> None:
    fields = CrmFields("bitrix24", {"contact.date": "UF_CRM_B", "contact.score": "UF_CRM_A", "deal.score": "UF_CRM_C"})
    assert fields.of(CrmEntity.CONTACT) == {"score": "UF_CRM_A", "date": "UF_CRM_B"}
    assert fields.of(CrmEntity.COMPANY) == {}
