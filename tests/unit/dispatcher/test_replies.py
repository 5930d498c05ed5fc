"""What respondents ask for in their own words, in several languages, as tables of cases."""

from __future__ import annotations

import time

import pytest

from services.dispatcher.domain.receipts import ReceiptKind
from services.dispatcher.domain.replies import read_reply

KEYWORDS = r"""
STOP| stop. |Stop!!!|STOP STOP STOP|Stop. Thank you|stop, thanks|Stop please|Please stop|Stop it|STOP ALL|S T O P
S.T.O.P.
STOPALL|UNSUBSCRIBE|CANCEL|END|QUIT|REVOKE|OPTOUT|opt-out|Opt out please|stop 36111|STOP SMS|"stop"|👎 Stop
Please unsubscribe|Hi, stop messages please|stop\nSent from my iPhone|Stop\n\nJohn Smith|STOP - John|TD|stop texts
СТОП|Стоп!|СТОП, спасибо|Стоп. Спасибо, не надо|стоп пожалуйста|Стоп смс|ОТПИСКА|«ОТПИСАТЬСЯ»|Отпишите|отказ|хватит
Не пишите|Не пишите, пожалуйста|CTOП|Stоp|ыещз|cnjg|CTOP|отмена|Прошу отписать|Хочу отписаться|Здравствуйте! Стоп.
Стоп\n--\nОтправлено из мобильной почты|ВІДПИСКА|Відписатися|стоп, дякую|досить|Зупинити|не пишіть|ТОҚТА|тоқтатыңыз
Тоқта, рахмет|керек емес|Arrêt|ARRET|arrêtez svp|Stop merci|stop pub|Désabonner|STOPP|Stopp bitte|Abmelden
bitte abmelden
Parar|BAJA|alto|pare por favor|Sair|cancelar|Basta|cancellami|stop grazie|Disiscrivimi per favore|Stop, dziękuję
wypisz mnie
KONIEC|rezygnuję|DURDUR|iptal|RET|dur lütfen|çıkış|退订|توقف
"""
REQUESTS = r"""
Please stop texting me|stop sending me these|Stop emailing me!|please stop sending text reminders|Take me off your list
Remove me from your mailing list, I never bought anything|I want to unsubscribe|How do I unsubscribe?
unsubscribe me please
Can you unsubscribe me?|Please don't contact me again|Do not text me anymore|don’t message me
Dont send me any more surveys
I do not wish to receive these emails|I don't want any more emails|Opt me out of these messages|Please leave me alone.
I can't unsubscribe|Stop these messages|No more emails please|Cease and desist all communications|stop spamming me
Never contact me again|Lose my number|unsuscribe|un subscribe|wrong number, stop texting me|Do not contact again
dont text me
I said stop texting me!|Stop, I am not interested|STOP!!! I asked five times already
I no longer wish to receive your surveys
Delete my number from your database|I'd like to opt out
Stop thank u|pls stop txting me|STOP Please and thank you|I would like to stop receiving these messages
please don't text
Merci de ne plus m'envoyer de SMS|Je me désabonne|Darse de baja|Non voglio più ricevere le vostre mail|Отмена подписки
Proszę przestać wysyłać wiadomości|Rezygnuję z subskrypcji|Sair da lista|Bitte löschen Sie mich aus dem Verteiler
Отпишите меня|отпишите меня пожалуйста от рассылки|Как отписаться?|Не могу отписаться|Прекратите присылать мне смс
Хватит слать спам|перестаньте мне писать|Больше не пишите мне|Не пишите мне больше|не присылайте больше писем
Я не хочу получать ваши письма|Не хочу больше получать сообщения|Удалите меня из базы|Уберите мой номер
Не беспокойте меня
Прошу исключить меня. Отпишите!|Отключите рассылку|Мне больше не пишите|уже просил: не присылайте мне ничего больше
Не пишите на этот номер|Не надо мне писать|не надо смс|Отмените подписку|отказываюсь от рассылки|Стоп рассылка|Стоп спам
Остановите рассылку|Больше не присылать|Уберите меня из рассылки|прошу больше не беспокоить|Перестаньте слать рекламу
Відпишіть мене, будь ласка|Припиніть мені писати|Не пишіть мені більше|не надсилайте мені смс
Не хочу отримувати ці листи
Маған жазбаңыз|Маған хабарлама жібермеңіз|Мені тізімнен шығарыңыз
Bitte melden Sie mich ab|Ich möchte mich vom Newsletter abmelden|Keine weiteren Mails mehr bitte|Bitte keine SMS mehr
Schreiben Sie mir nicht mehr|Nehmen Sie mich aus dem Verteiler|Tragen Sie mich bitte aus|Ich will keine Nachrichten mehr
Désabonnez-moi|Veuillez me désinscrire|Arrêtez de m'envoyer des messages|Ne m’écrivez plus|Ne me contactez plus
Je ne veux plus recevoir vos mails|Je souhaite me désabonner|Retirez-moi de votre liste
Quiero darme de baja|Dénme de baja por favor|No me escriban más|No me envíen más mensajes|Dejen de mandarme correos
No quiero recibir más mensajes|Cancelar mi suscripción|Elimínenme de la lista
Não me envie mais mensagens|Pare de me mandar e-mails|Não quero mais receber|Me remova da lista|quero me descadastrar
Cancellatemi dalla lista|Non scrivetemi più|Non voglio più ricevere messaggi|Smettetela di scrivermi
Non inviatemi altre email
Proszę mnie wypisać|Wypiszcie mnie z listy|Nie piszcie do mnie więcej|Nie chcę otrzymywać wiadomości
Przestańcie do mnie pisać
Proszę usunąć mój numer
Beni listeden çıkarın|Bana mesaj göndermeyin|Mesaj almak istemiyorum|Abonelikten çıkmak istiyorum|Bana bir daha yazmayın
"""
OTHER_WORDS = r"""
Count me in! We have got to STOP this|don't stop|Don't stop!|please do not stop|Never stop being this good
can't stop smiling
I can't stop recommending you|please stop by tomorrow|The bus stop is too far away|Full stop.|non-stop service
One stop shop
Stop selling expired milk|You should stop using plastic bags|I stopped by yesterday|Stop?|Should I reply STOP?
It never stops
Cancel my order|please cancel order 1030|The end was great|Remove the pickles next time|Please don't unsubscribe me
Do not unsubscribe me, I like these|In the end all was fine|I quit smoking|Don't send me the blue one
Stop the music in the shop
We have to stop this!|Don’t stop sending me surveys|please do not remove me from the list|My parcel never came, call me
Don't text me before 9|9|10!|great|yes of course|Thank you|👍|Please text me when it arrives|I will not stop buying
не останавливайтесь|Не останавливайтесь!|Не отписывайте меня|Стоп-кран сломан|Отмена заказа|Хочу отменить заказ
Хватит морозить людей на кассе|Отказ от товара оформили быстро|Не хватит ли очередей|Автобусная остановка далеко|Спасибо
Не пишите, что товар есть, если его нет|Посылка не пришла|Стоп, а где мой заказ?|Прекратите обвешивать покупателей
Не зупиняйтеся|Не відписуйте мене|Тоқтамаңыз|Жақсы|Ne vous arrêtez pas|N'arrêtez pas !|Ne me désabonnez pas
Nicht aufhören!|Bitte melden Sie mich nicht ab|Ich melde mich morgen|Hören Sie nicht auf|No paren|La calidad es muy baja
No quiero darme de baja|Não pare|Non fermatevi|Nie przestawajcie|Durmayın|Ich habe keine Nachricht bekommen
Don't send me any plastic bags next time|stop sending me the wrong size|Take me off the waiting list for the sofa
stop asking me for my card at the till|Мне не прислали чек|Мне не написали, когда приехать
Не отправляйте мне заказ по старому адресу
Отпишитесь, как получите|Мне никто не отписался о доставке|Отказались вернуть деньги|Не присылайте замены без звонка
Я не подписывался на доставку|Уберите из зала тележки|Мені не надіслали чек|No me enviaron el pedido
Não me enviaram o pedido
Schicken Sie mir keine Plastiktüten|Vous ne m'envoyez pas ma facture|Non mi hanno mandato la ricevuta
Nie wysłali mi paczki
Mesaj gelmedi|Bana kimse yazmadı|Nie wysyłają mi faktury|Don't call me, write to me|Не звоните, напишите
Стоп кадр на кассе
Stop raising prices!|You never stop surprising me|Hören Sie bitte nicht auf|Пожалуйста, не прекращайте акции
Не отключайте меня|Так держать|стоп-лист у вас большой|No dejen de hacerlo|Sakın durmayın|Call me, do not email
cancel it|Please cancel this|End this|Red|Отмена всего
Nadie me escribió|Le facteur ne s'arrête pas ici||   |???
"""


def _cases(table: str) -> list[str]:
    """Return the cases of a table, which are separated by bars and line ends."""
    return [case.replace("\\n", "\n") for line in table.strip("\n").split("\n") for case in line.split("|")]


@pytest.mark.parametrize("text", [*_cases(KEYWORDS), *_cases(REQUESTS)])
def test_request_to_stop_is_understood_in_several_languages(text: str) -> None:
    assert read_reply(text) is ReceiptKind.STOP


@pytest.mark.parametrize("text", _cases(OTHER_WORDS))
def test_other_words_stop_nothing(text: str) -> None:
    assert read_reply(text) is None


@pytest.mark.parametrize("text", ["START", "unstop", "Старт", "start please", "Подписаться", "YES", "yes!"])
def test_request_to_start_again_is_understood(text: str) -> None:
    assert read_reply(text) is ReceiptKind.START


@pytest.mark.parametrize("text", ["Yes, call me", "yes please", "start selling tea", "do not start", "10 yes"])
def test_agreement_to_something_else_starts_nothing(text: str) -> None:
    assert read_reply(text) is None


@pytest.mark.parametrize(
    "word",
    ["STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"],  # CTIA's list, as Twilio takes it
)
def test_every_word_that_operators_require_stops(word: str) -> None:
    assert read_reply(word) is read_reply(f" {word.lower()}. ") is ReceiptKind.STOP


def test_only_the_beginning_of_a_long_text_is_read() -> None:
    assert read_reply("a b c. " * 1000 + "unsubscribe me") is None


@pytest.mark.parametrize("text", ["stop " * 400, "don't " * 400, "bitte " * 300 + "nicht", "\x00" * 2000, "не " * 600])
def test_reading_takes_no_time_on_repeated_words(text: str) -> None:
    started = time.perf_counter()
    read_reply(text)
    assert time.perf_counter() - started < 1
