"""The pages of stores in a real browser: the narrowest phone, both schemes, keyboard alone, without scripts."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.browser import DESKTOP, log_in, watched
from tests.journey.looking import follow, looked_at
from tests.journey.stage import Stage, purchase

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

FILE = """Код;Название;Другие названия;Регион;Часовой пояс;Часы работы;Управляющий
77;Арбат;Старый Арбат, дом с очень длинным названием, которое не помещается в строку;Москва;Europe/Moscow;пн-пт 9:00-21:00;Анна
78;Сокол;;Москва;Moscow;;
79;Химки;;Московская область;Europe/Moscow;24/7;Борис
"""  # noqa: E501 - a long name


async def test_every_page_of_stores_is_accessible_and_fits_the_narrowest_phone(
    stage: Stage, browser: Browser, tmp_path: Path
) -> None:
    faults = list[str]()
    await stage.happens(purchase(1, store="Тверская"), purchase(2, store="A" * 60))
    (tmp_path / "stores.csv").write_bytes(FILE.encode("cp1251"))
    context = await browser.new_context(bypass_csp=True, java_script_enabled=True)
    await log_in(context)
    page = await context.new_page()
    await page.goto(f"{stage.scoring}/stores")
    await looked_at(page, "stores-empty", faults)
    await page.goto(f"{stage.scoring}/stores/import")
    await looked_at(page, "stores-import", faults)
    await page.get_by_label("A CSV file").set_input_files(tmp_path / "stores.csv")
    await page.get_by_role("button", name="Check the file").click()
    await expect(page.get_by_text("Line 3: time_zone: no such zone")).to_be_visible()
    await looked_at(page, "stores-checked", faults)
    await page.get_by_role("button", name="Store the 2 good lines").click()
    await expect(page.get_by_role("status")).to_have_text("Stored: 2 added, 0 changed.")
    await looked_at(page, "stores-imported", faults)
    await page.goto(f"{stage.scoring}/stores")
    await looked_at(page, "stores", faults)
    await follow(page.get_by_role("link", name="Арбат"))
    await looked_at(page, "store", faults)
    await page.get_by_label("Opening hours").fill("mon 21:00-09:00")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_label("Opening hours")).to_be_focused()
    await looked_at(page, "store-refused", faults)
    await context.close()
    assert faults == [], "\n".join(faults)


async def test_store_is_added_and_a_spelling_given_by_keyboard_alone(stage: Stage, browser: Browser) -> None:
    await stage.happens(purchase(1, store="Tverskaya"), purchase(2, store="Tverskaya 12"))
    async with watched(browser, viewport=DESKTOP, java_script_enabled=False) as context:
        page = await context.new_page()
        await page.goto(f"{stage.scoring}/stores")
        await page.get_by_role("link", name="Add Tverskaya as a store", exact=True).focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_label("Name")).to_have_value("Tverskaya")
        await page.get_by_label("Code").focus()
        await page.keyboard.type("77")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("status")).to_contain_text("Saved: Tverskaya.")
        await page.get_by_label("Code or name of the store that Tverskaya 12 is").focus()
        await page.keyboard.type("77")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("status")).to_contain_text("count all 3 names as one store")
        await expect(page.get_by_text("also Tverskaya 12")).to_be_visible()
    [store] = (await stage.score(by="store"))["series"]
    assert (store["value"], store["invited"]) == ("Tverskaya", 2)
