"""Programs in German and Arabic that word every text, in a real browser: nothing is cut on the narrowest phone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from playwright.async_api import Browser, Page

from tests.browser import SIDEWAYS, photograph, watched
from tests.journey.looking import follow
from tests.journey.stage import Stage, link_in, purchase

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

WIDTHS = (320, 360, 1280)
GERMAN: dict[str, Any] = {
    "question": "Wie wahrscheinlich ist es, dass Sie unsere Kundenzufriedenheitsgewährleistungsabteilung empfehlen?",
    "reasons": {
        "promoter": [{"id": "staff", "text": "Freundlichkeit der Mitarbeiterinnen und Mitarbeiter"}],
        "other": [{"id": "speed", "text": "Bearbeitungsgeschwindigkeit und Lieferzuverlässigkeit"}],
    },
    "thanks": {"detractor": "Wir klären, was schiefgelaufen ist, und kümmern uns um die Wiedergutmachung."},
    "labels": {
        "order": "Ihre Bestellung {number}vom {date}",
        "lowest": "0 äußerst unwahrscheinlich",
        "highest": "10 ganz sicher",
        "send": "Bewertung abschicken",
        "after": "Sie können Ihre Bewertung bis zum {date} ändern.",
        "readers": "Ihre Antwort liest {brand} zusammen mit Ihrem Namen.",
        "privacy": "Datenschutzbestimmungen",
        "stop": "Bitte keine Zufriedenheitsbefragungen mehr",
        "saved": "Vielen Dank, Ihre Bewertung {score} ist gespeichert.",
        "change": "Bewertung nachträglich ändern",
        "why_other": "Was sollten wir als Erstes verbessern?",
        "comment": "Verbesserungsvorschläge",
        "callback_title": "Sollen wir miteinander sprechen?",
        "callback": "Bitte rufen Sie mich zurück: {number}",
        "callback_to": "Bitte rufen Sie mich zurück",
        "number": "Rückrufnummer mit Landesvorwahl",
        "other_number": "Abweichende Rückrufnummer",
        "best_time": "Bevorzugte Rückrufzeit",
        "time_any": "Jederzeit",
        "change_until": "Bis zum {date} können Sie das ändern.",
        "mail.order": "Ihre Bestellung {number} vom {date}",
        "mail.order_topic": "Ihrer Bestellung vom {date}",
        "mail.subject": "{brand}: eine Frage zu {topic}",
        "mail.preheader": "Eine Frage, eine halbe Minute.",
        "mail.scale": "0 äußerst unwahrscheinlich · 10 ganz sicher",
        "mail.confirm": "Ein Tipp öffnet eine Seite, auf der Sie die Bewertung bestätigen.",
        "mail.because": "Sie erhalten diese E-Mail, weil Sie bei {brand} eingekauft haben.",
        "mail.unsubscribe": "Bitte keine Zufriedenheitsbefragungen mehr",
        "mail.privacy": "Datenschutzbestimmungen",
        "mail.ask_title": "Keine Zufriedenheitsbefragungen mehr?",
        "mail.ask_text": "Wählen Sie, was {brand} Ihnen nicht mehr schicken soll.",
        "mail.choices.all": "Überhaupt keine Fragen: weder E-Mail noch SMS noch Anruf",
        "mail.choices.email": "Keine E-Mails mehr; nach einem weiteren Einkauf sind SMS oder Anrufe möglich",
        "mail.choices.survey": "Nur keine Fragen wie diese: {about}",
        "mail.done_title": "Erledigt",
        "mail.done_texts.all": "{brand} stellt Ihnen keine Fragen mehr.",
    },
}
ARABIC: dict[str, Any] = {
    "question": "ما مدى احتمال أن توصي بنا لصديق أو زميل؟",
    "reasons": {
        "promoter": [{"id": "staff", "text": "لطف الموظفين"}],
        "other": [{"id": "speed", "text": "سرعة الخدمة"}],
    },
    "thanks": {"detractor": "سنعرف ما الخطأ الذي حدث."},
    "labels": {
        "order": "طلبك {number}بتاريخ {date}",
        "lowest": "0 غير محتمل إطلاقا",
        "highest": "10 مؤكد",
        "send": "إرسال",
        "after": "يمكنك تغيير إجابتك حتى {date}.",
        "readers": "تقرأ {brand} إجابتك مع اسمك.",
        "privacy": "الخصوصية",
        "stop": "لا تسألوني مرة أخرى",
        "saved": "شكرا، حفظنا إجابتك {score}.",
        "change": "تغيير",
        "why_other": "ما الذي يجب أن نحسنه أولا؟",
        "comment": "بكلماتك",
        "callback_title": "هل نتحدث؟",
        "callback": "اتصلوا بي على {number}",
        "callback_to": "اتصلوا بي",
        "number": "رقم الهاتف",
        "other_number": "رقم آخر",
        "best_time": "أفضل وقت",
        "time_any": "أي وقت",
        "change_until": "يمكنك تغييرها حتى {date}.",
        "mail.order": "طلبك {number} بتاريخ {date}",
        "mail.order_topic": "طلبك بتاريخ {date}",
        "mail.subject": "{brand}: سؤال واحد",
        "mail.preheader": "سؤال واحد، نصف دقيقة.",
        "mail.scale": "0 غير محتمل إطلاقا · 10 مؤكد",
        "mail.confirm": "تفتح النقرة صفحة تؤكد فيها إجابتك.",
        "mail.because": "تصلك هذه الرسالة لأنك عميل لدى {brand}.",
        "mail.unsubscribe": "لا تسألوني مرة أخرى",
        "mail.privacy": "الخصوصية",
        "mail.ask_title": "هل نتوقف عن سؤالك؟",
        "mail.ask_text": "اختر ما يجب ألا ترسله {brand} بعد الآن.",
        "mail.choices.all": "كل الأسئلة",
        "mail.choices.email": "كل الرسائل الإلكترونية",
        "mail.choices.survey": "أسئلة مثل هذا فقط: {about}",
        "mail.done_title": "تم",
        "mail.done_texts.all": "لن تسألك {brand} مرة أخرى.",
    },
}
CASES = [("de", GERMAN, "مقهى النقطة!", "ltr"), ("ar", ARABIC, "Kaffeehausgesellschaft & Söhne!", "rtl")]
ENDS_LEFT_OF_ITS_NAME = """() => {
    const name = document.querySelector(".brand span, p").firstChild;
    const at = (place) => {
        const range = document.createRange();
        range.setStart(name, place);
        range.setEnd(name, place + 1);
        return range.getBoundingClientRect().left;
    };
    const [first, last] = [name.data.search(/[^\\s\\u2068]/), name.data.lastIndexOf("!")];
    return at(last) < at(first);
}"""


async def look(page: Page, name: str, *, direction: str, widths: Sequence[int] = WIDTHS) -> None:
    """Look at a page in every width: nothing is wider, and the text runs in its own direction."""
    await page.wait_for_load_state()
    assert await page.evaluate("getComputedStyle(document.querySelector('h1')).direction") == direction
    for width in widths:
        await page.set_viewport_size({"width": width, "height": 640})
        assert await page.evaluate(SIDEWAYS) <= 0, f"{name} is wider than {width} pixels"
        await photograph(page, f"{name}-{width}")


@pytest.mark.parametrize("case", CASES, ids=["german", "arabic"])
async def test_nothing_of_a_worded_program_is_cut_or_turned_round(
    stage: Stage, browser: Browser, case: tuple[str, dict[str, Any], str, str]
) -> None:
    locale, texts, brand, direction = case
    program = {
        "id": "after-purchase",
        "brand": {"name": brand, "color": "#ffe000", "privacy_url": "https://example.com/privacy"},
        "starts_on": ["crm.purchase.completed"],
        "texts": {locale: texts},
        "default_locale": locale,
    }
    (await stage.web.put(f"{stage.trigger}/v1/programs", json=program)).raise_for_status()
    await stage.happens(purchase(locale=locale))
    await stage.after(minutes=5)
    [message] = await stage.mailbox()
    mail = (await stage.web.get(f"{stage.dispatcher}/mailbox/{message['id']}/html")).text
    async with watched(browser) as context:
        page = await context.new_page()
        await page.set_content(mail)
        await look(page, f"worded-{locale}-mail", direction=direction, widths=(280, *WIDTHS))
        assert await page.evaluate(ENDS_LEFT_OF_ITS_NAME) == (direction == "ltr")
        unsubscribe = await page.locator("a.link").first.get_attribute("href")
        await page.goto(link_in(message))
        await look(page, f"worded-{locale}-question", direction=direction)
        assert await page.evaluate(ENDS_LEFT_OF_ITS_NAME) == (direction == "ltr")
        await page.get_by_role("radio", name="3", exact=True).check()
        await follow(page.get_by_role("button").first)
        await look(page, f"worded-{locale}-reasons", direction=direction)
        hint = "··· 00-01" if direction == "ltr" else "\u2066··· 00-01\u2069"
        assert hint in await page.inner_text(".callback"), "digits keep their order between Arabic words"
        await follow(page.get_by_role("button").first)
        await look(page, f"worded-{locale}-thanks", direction=direction)
        assert unsubscribe
        await page.goto(unsubscribe)
        await look(page, f"worded-{locale}-unsubscribe", direction=direction)
        await follow(page.get_by_role("button").first)
        await look(page, f"worded-{locale}-unsubscribed", direction=direction)
