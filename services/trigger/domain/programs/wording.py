"""The default texts of programs, in English and Russian."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def _reasons(texts: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"id": name, "text": text} for name, text in texts.items()]


WORDING: Mapping[str, Mapping[str, Any]] = {
    "en": {
        "question": "How likely are you to recommend us to a friend or colleague?",
        "reasons": {
            "promoter": _reasons(
                {
                    "staff": "Friendly staff",
                    "quality": "Quality",
                    "speed": "Quick service",
                    "choice": "Good choice",
                    "price": "Fair price",
                }
            ),
            "other": _reasons(
                {
                    "staff": "Staff",
                    "quality": "Quality",
                    "speed": "Long wait",
                    "choice": "Little choice",
                    "price": "Price",
                }
            ),
        },
        "thanks": {
            "promoter": "Thank you! We are glad you are happy with us.",
            "passive": "Thank you! We will work on what was missing.",
            "detractor": "Thank you for telling us. We will look into what went wrong.",
        },
    },
    "ru": {
        "question": "Какова вероятность того, что вы порекомендуете нас другу или коллеге?",
        "reasons": {
            "promoter": _reasons(
                {
                    "staff": "Приветливые сотрудники",
                    "quality": "Качество",
                    "speed": "Быстрое обслуживание",
                    "choice": "Хороший выбор",
                    "price": "Разумная цена",
                }
            ),
            "other": _reasons(
                {
                    "staff": "Сотрудники",
                    "quality": "Качество",
                    "speed": "Долгое ожидание",
                    "choice": "Мало выбора",
                    "price": "Цена",
                }
            ),
        },
        "thanks": {
            "promoter": "Спасибо! Мы рады, что вам понравилось.",
            "passive": "Спасибо! Мы подумаем, чего вам не хватило.",
            "detractor": "Спасибо, что рассказали. Мы разберёмся, что пошло не так.",
        },
    },
}
