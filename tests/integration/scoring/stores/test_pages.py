"""The staff pages of stores, as a browser without scripts uses them."""

from __future__ import annotations

import asyncio
import re
from html import unescape

import httpx2

from tests.integration.scoring.stand import Scoring, answer_all
from tests.staff_pages import done_on, undo

FIELDS = (
    "code",
    "name",
    "spellings",
    "region",
    "time_zone",
    "hours",
    "manager",
    "deputy",
    "review_links",
    "closed_since",
    "version",
)


async def form_of(client: httpx2.AsyncClient, code: str) -> dict[str, str]:
    """Read the fields of a store's form."""
    page = (await client.get("/stores/edit", params={"code": code})).text
    inputs = {name: unescape(value) for name, value in re.findall(r'<input[^>]* name="(\w+)" value="([^"]*)"', page)}
    areas = {name: unescape(text) for name, text in re.findall(r'<textarea[^>]* name="(\w+)"[^>]*>\n([^<]*)<', page)}
    return {name: (inputs | areas)[name] for name in FIELDS}


async def save(client: httpx2.AsyncClient, **fields: str) -> httpx2.Response:
    return await client.post("/stores/edit", data=dict.fromkeys(FIELDS, "") | fields)


async def test_store_is_added_edited_and_deleted(client: httpx2.AsyncClient) -> None:
    added = await save(client, code="77", name="Arbat", spellings="old Arbat\r\nАрбат", hours="пн-пт 9:00-21:00")
    assert (added.status_code, added.headers["location"]) == (303, "/stores?saved=77")
    listed = (await client.get(added.headers["location"])).text
    assert "Saved: Arbat." in listed
    assert "mon-fri 09:00-21:00" in listed
    form = await form_of(client, "77")
    assert (form["spellings"], form["hours"]) == ("old Arbat\nАрбат", "mon-fri 09:00-21:00")
    assert (await save(client, **(form | {"name": "Arbat street"}))).status_code == 303
    stored = (await client.get("/v1/stores/77")).json()
    assert (stored["name"], stored["spellings"]) == ("Arbat street", ["old Arbat", "Арбат"])
    form = await form_of(client, "77")
    deleted = await client.post("/stores/delete", data={"code": "77", "version": form["version"]})
    shown = (await client.get(deleted.headers["location"])).text
    assert "The store 77 is not in the list." in shown
    assert (await client.get("/stores/edit?code=77")).status_code == 404


async def test_each_change_of_a_store_is_undone(client: httpx2.AsyncClient) -> None:
    async def listed() -> list[dict[str, object]]:
        stores: list[dict[str, object]] = (await client.get("/v1/stores")).json()["stores"]
        return stores

    async def undone() -> list[dict[str, object]]:
        assert done_on(page := (await client.get("/stores")).text)
        assert (await undo(client, page)).status_code == 303
        return await listed()

    await save(client, code="77", name="Arbat")
    assert await undone() == []
    await save(client, code="77", name="Arbat", hours="mon-fri 09:00-21:00", spellings="Old Arbat")
    before = await listed()
    await save(client, **(await form_of(client, "77") | {"name": "Arbat street", "hours": ""}))
    assert await undone() == before
    await client.post("/stores/spelling", data={"value": "arbat shop", "store": "77"})
    assert await undone() == before
    await client.post("/stores/delete", data={"code": "77", "version": (await form_of(client, "77"))["version"]})
    assert await undone() == before


async def test_store_that_was_changed_meanwhile_is_shown_and_not_undone(client: httpx2.AsyncClient) -> None:
    await save(client, code="77", name="Arbat")
    await save(client, **(await form_of(client, "77") | {"name": "Arbat street"}))
    page = (await client.get("/stores")).text
    await save(client, **(await form_of(client, "77") | {"name": "Arbat lane"}))
    assert (await undo(client, page)).status_code == 409
    assert (await client.get("/v1/stores/77")).json()["name"] == "Arbat lane"


async def test_page_says_saved_or_deleted_only_of_what_is(client: httpx2.AsyncClient) -> None:
    await save(client, code="77", name="Arbat")
    assert "Saved" not in (await client.get("/stores?saved=78")).text
    assert "is not in the list" not in (await client.get("/stores?deleted=77")).text


async def test_form_is_shown_again_as_it_was_typed_with_the_error_at_its_field(client: httpx2.AsyncClient) -> None:
    refused = await save(client, code="77", name="<Arbat>", hours="mon 21:00-09:00", time_zone="Europe/Moscow")
    assert refused.status_code == 422
    assert "&lt;Arbat&gt;" in refused.text
    [field] = re.findall(r'<input[^>]*name="hours"[^>]*>', refused.text)
    assert 'value="mon 21:00-09:00"' in field
    assert 'aria-invalid="true" autofocus' in field
    assert "opening hours: they end before they begin" in refused.text
    assert (await client.get("/v1/stores")).json()["stores"] == []


async def test_second_of_two_people_sees_what_the_first_saved_and_may_replace_it(client: httpx2.AsyncClient) -> None:
    await save(client, code="77", name="Arbat", manager="Anna")
    form = await form_of(client, "77")
    texts = [form | {"manager": name} for name in ("Boris", "Clara")]
    both = await asyncio.gather(*(save(client, **each) for each in texts))
    assert sorted(each.status_code for each in both) == [303, 409]
    [late] = [each for each in both if each.status_code == 409]
    stored = (await client.get("/v1/stores/77")).json()
    other = {"Boris": "Clara", "Clara": "Boris"}[stored["manager"]]
    assert f"<dt>Manager</dt><dd>{stored['manager']}</dd>" in late.text
    assert f'name="manager" value="{other}"' in late.text
    assert f'name="version" value="{stored["version"]}"' in late.text
    assert (await save(client, **(form | {"manager": other, "version": stored["version"]}))).status_code == 303
    assert (await client.get("/v1/stores/77")).json()["manager"] == other


async def test_store_that_was_changed_meanwhile_is_not_deleted(client: httpx2.AsyncClient) -> None:
    await save(client, code="77", name="Arbat")
    form = await form_of(client, "77")
    await save(client, **(form | {"region": "Moscow"}))
    refused = await client.post("/stores/delete", data={"code": "77", "version": form["version"]})
    assert refused.status_code == 409
    assert "Nothing was deleted" in refused.text
    assert (await client.get("/v1/stores/77")).status_code == 200


async def test_store_that_was_deleted_meanwhile_can_be_saved_again(client: httpx2.AsyncClient) -> None:
    await save(client, code="77", name="Arbat")
    form = await form_of(client, "77")
    await client.delete("/v1/stores/77")
    refused = await save(client, **form)
    assert refused.status_code == 409
    assert "somebody deleted this store" in refused.text
    assert (await save(client, **(form | {"version": ""}))).status_code == 303


async def test_new_store_does_not_replace_one_with_its_code(client: httpx2.AsyncClient) -> None:
    await save(client, code="77", name="Arbat")
    refused = await save(client, code="77", name="Sokol")
    assert refused.status_code == 422
    assert "a store with this code is in the list already" in refused.text
    assert (await client.get("/v1/stores/77")).json()["name"] == "Arbat"


async def test_name_that_events_have_is_made_a_spelling_or_a_store(
    client: httpx2.AsyncClient, scoring: Scoring
) -> None:
    for store in ("Arbat & sons", "Sokol"):
        await answer_all(scoring, [9], segments={"store": store})
    await save(client, code="77", name="Arbat")
    shown = (await client.get("/stores")).text
    assert "In events, and not in the list" in shown
    assert '<a class="button" href="/stores/edit?name=Arbat%20%26%20sons"' in shown
    assert 'name="name" value="Arbat &amp; sons"' in (await client.get("/stores/edit?name=Arbat%20%26%20sons")).text
    for named in ("Arbat", "77"):
        done = await client.post("/stores/spelling", data={"value": "Arbat & sons", "store": named})
        assert done.headers["location"] == "/stores?saved=77"
    assert (await client.get("/v1/stores/77")).json()["spellings"] == ["Arbat & sons"]
    refused = await client.post("/stores/spelling", data={"value": "Sokol", "store": "78"})
    assert (refused.status_code, "no store has this code or name" in refused.text) == (422, True)
    await save(client, code="78", name="Sokol")
    refused = await client.post("/stores/spelling", data={"value": "Sokol", "store": "77"})
    assert (refused.status_code, "is a name of the store 78" in unescape(refused.text)) == (422, True)
    assert "In events, and not in the list" not in (await client.get("/stores")).text


async def test_stores_are_found_by_any_name_region_or_manager(client: httpx2.AsyncClient) -> None:
    await save(client, code="77", name="Arbat", spellings="Арбат", region="Centre", manager="Anna")
    await save(client, code="78", name="Sokol")
    for text in ("АРБАТ", "77", "centre", "ann"):
        shown = (await client.get("/stores", params={"find": text})).text
        assert ("code=77" in shown, "code=78" in shown) == (True, False)
    assert "No store has zzz" in (await client.get("/stores?find=zzz")).text


async def upload(client: httpx2.AsyncClient, content: bytes) -> httpx2.Response:
    return await client.post("/stores/import", files={"file": ("stores.txt", content, "text/plain")})


async def confirm(client: httpx2.AsyncClient, page: str, *, store: str) -> httpx2.Response:
    [kept] = re.findall(r'name="kept" value="([^"]*)"', page)
    return await client.post("/stores/import", files={"kept": (None, kept), "store": (None, store)})


async def test_file_is_checked_first_and_stored_when_that_was_confirmed(client: httpx2.AsyncClient) -> None:
    await save(client, code="77", name="Arbat")
    checked = await upload(client, "Код;Название;Цвет\n77;Арбат;\n78;Сокол;зелёный\n".encode("cp1251"))
    for text in ("Nothing is stored yet", "Сокол (78)", "Арбат (77): name", "CP1251", "Columns not used: Цвет"):
        assert text in checked.text
    assert len((await client.get("/v1/stores")).json()["stores"]) == 1
    stored = await confirm(client, checked.text, store="all")
    assert "Stored: 1 added, 1 changed." in stored.text
    assert {each["name"] for each in (await client.get("/v1/stores")).json()["stores"]} == {"Арбат", "Сокол"}


async def test_bad_lines_are_named_and_only_the_good_ones_stored_when_asked(client: httpx2.AsyncClient) -> None:
    content = "code,name,time_zone\n1,Arbat,Moscow\n2,Sokol,\n3,Сокол,\n".encode()
    content += b"4," + "Сокол".encode("cp1251") + b",\n"
    checked = await upload(client, content)
    assert "Line 2: time_zone: no such zone" in checked.text
    assert "Line 5: not UTF-8" in checked.text
    refused = await confirm(client, checked.text, store="all")
    assert "Nothing was stored, because lines are bad." in refused.text
    assert (await client.get("/v1/stores")).json()["stores"] == []
    stored = await confirm(client, checked.text, store="good")
    assert "Stored: 2 added, 0 changed." in stored.text
    assert [each["code"] for each in (await client.get("/v1/stores")).json()["stores"]] == ["2", "3"]


async def test_file_that_cannot_be_read_is_said_with_the_reason(client: httpx2.AsyncClient) -> None:
    refused = await upload(client, b"PK\x03\x04")
    assert (refused.status_code, "is a workbook or archive: save it as CSV" in refused.text) == (422, True)
    assert (await client.post("/stores/import", files={"kept": (None, "%")})).status_code == 422
    assert (await upload(client, b"x" * 3_000_000)).status_code == 413
    assert (await upload(client, b"code,name\n" + b"\n" * 2_000_000)).status_code == 422


async def test_export_is_a_file_that_can_be_imported(client: httpx2.AsyncClient) -> None:
    await save(client, code="77", name="=1+1", spellings="Арбат")
    exported = await client.get("/stores/export")
    assert exported.headers["content-disposition"] == 'attachment; filename="stores.csv"'
    assert '"77","\'=1+1","Арбат"' in exported.text
    again = (await client.post("/v1/stores/import", content=exported.content)).json()
    assert (again["left"], again["changed"]) == (1, 0)
