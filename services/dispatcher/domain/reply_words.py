"""Words that end or restart messages, by language. `replies` reads a respondent's text with them.

All words are compared without case and diacritics, so the spelling here may have both. Sources of the single words:
CTIA's and the FCC's lists of opt-out keywords, and the keywords that operators of each country require.
"""

from __future__ import annotations

# one of these is a request by itself, also as one sentence of several
STOP_WORDS = (
    *("stop", "stopall", "stopp", "unsubscribe", "unsub", "optout", "remove me", "opt out", "opt me out"),
    *("стоп", "отписка", "отписаться", "отписать", "отпишите", "отпиши", "стопсмс", "отключите", "отключить"),
    *("зупинити", "зупиніть", "відписатися", "відписатись", "відписка", "відпишіть", "спыніць", "адпісацца"),
    *("тоқта", "тоқтат", "тоқтатыңыз", "тоқтатыңыздар", "бас тарту", "to'xtat", "to'xtating"),
    *("arrêt", "arrêter", "arrêtez", "désabonner", "désabonnement", "désinscription", "désinscrire", "desabo"),
    *("abmelden", "abmeldung", "austragen", "abbestellen", "aufhören", "afmelden", "uitschrijven"),
    *("parar", "pare", "darme de baja", "sair", "descadastrar", "dezabonare", "cancelar suscripción"),
    *("disiscrivimi", "disiscrivetemi", "disiscrizione", "cancellami", "cancellatemi", "fermare"),
    *("wypisz", "wypiszcie", "wypisać", "wypisanie", "przestańcie", "odhlásit", "leiratkozás", "lopeta", "avsluta"),
    *("durdur", "durdurun", "çıkış", "abonelikten çık", "odjava", "отписване", "διαγραφή"),
    *("توقف", "إيقاف", "הסר", "הסירו", "退订", "退訂", "停止", "配信停止", "수신거부"),
    *("ыещз", "cnjg", "ctop", "стор", "otpiska", "otpisatsya", "otpishite"),  # the other keyboard layout or alphabet
)
# one of these is a request only when the whole text says nothing else
STOP_ALONE = (
    *("cancel", "end", "quit", "revoke", "remove", "td", "no more", "enough", "leave me alone", "not interested"),
    *("отмена", "отказ", "отказываюсь", "хватит", "прекратите", "перестаньте", "не пишите", "не надо", "отстаньте"),
    *("не присылайте", "не шлите", "не отправляйте", "не беспокоить", "не беспокойте", "больше не надо"),
    *("досить", "годі", "скасувати", "припиніть", "не пишіть", "не надсилайте", "не турбуйте", "керек емес"),
    *("жазбаңыз", "жазбаңыздар", "жібермеңіз", "жібермеңіздер", "мазаламаңыз", "мазаламаңыздар"),
    *("baja", "alto", "basta", "basta così", "cancelar", "cancella", "annulla", "chega", "remover", "eliminar"),
    *("koniec", "rezygnuję", "anuluj", "nie piszcie", "dość", "iptal", "ret", "dur", "çık", "yeter"),
    *("göndermeyin", "istemiyorum", "ende", "schluss", "genug", "kein interesse", "nicht mehr schreiben"),
    *("assez", "résilier", "plus de messages", "no molestar"),
)
START_WORDS = ("start", "unstop", "старт", "подписаться", "підписатися", "resume", "subscribe")
START_ALONE = ("yes",)

# words that change nothing beside a request
COURTESIES = """
please pls plz thanks thank you u thx ty and и und et y kindly hi hello hey dear sir madam ok okay now it this that
these those all
already immediately everything any more again forever ever regards best sorry team to me us my us for
sms text texts texting message messages messaging msg msgs mail mails email emails e survey surveys spam marketing
newsletter newsletters reminders notifications sending asap sent from iphone android
пожалуйста пожалуста пжл плиз спасибо спс благодарю здравствуйте привет добрый день доброе утро вечер уважаемые
уже всё все это этого меня мне нам нас сразу немедленно прошу больше смс сообщения сообщений письма писем рассылка
рассылку рассылки рассылок опрос опросы опросов от ваших вашей вас я хочу уведомления уведомлений спам спама
будь ласка дякую вітаю добрий мене мені більше я повідомлення повідомлень розсилка розсилку розсилки
өтінемін рахмет сәлеметсіз бе маған хабарлама хабарламаларды рақмет
bitte danke vielen dank hallo guten tag jetzt sofort mich mir alle das es damit ich will möchte nachrichten die
von der umfragen umfrage
merci s'il vous plaît svp stp bonjour bonsoir moi tout de suite je veux voudrais me pub vos
por favor gracias hola ya mensajes todo todos los las correos quiero buenos días de
per piacere favore grazie ciao buongiorno messaggi subito i le
obrigado obrigada olá por já mensagens bom dia quero
proszę dziękuję dzięki mnie dzień dobry wiadomości to już mi
lütfen teşekkürler teşekkür ederim merhaba mesaj mesajları beni artık
"""

# of these, words that may mean something other than messages
VAGUE = "it this that these those all everything my все всё это этого alle das es todo todos tout i le quiero veux"

# requests inside a sentence: regular expressions over words without punctuation, case and diacritics; only imperatives,
# infinitives and wishes, since "I was not sent a receipt" is no request
_MESSAGES = (
    r"(?:(?:sms|texts?|messages?|msgs?|e ?mails?|mails?|surveys?|newsletters?|notifications?|reminders?|spam"
    r"|communications?|correspondence|stuff|crap|junk)\b)"
)
_STOP_DOING = r"(?:stop|quit|cease|discontinue)"
_DO_NOT = r"(?:do not|dont|don t|never|please no|no)"
_LIST = (
    r"(?:\w*list\w*|database|system|mailing\w*|contacts?|records|distribution|sms|program|here|this|texts?|e ?mails?)"
)
_RU_MESSAGES = (
    r"(?:(?:sms|смс\w*|сообщени\w+|пис(?:ем|ьма)|рассыл\w+|опрос\w*|уведомлени\w+|спам\w*|реклам\w+|mail\w*)\b)"
)
_RU_WRITE = r"(?:(?:пишите|писать|пиши|беспокойте|беспокоить|тревожьте|тревожить|спамьте|спамить|донимать)\b)"
_RU_SEND = r"(?:(?:присылайте|присылать|присылай|шлите|слать|шли|отправляйте|отправлять|рассылайте|высылайте)\b)"
_RU_TO_ME = r"(?:(?:мне|нам|меня|нас|сюда|больше|никогда|вообще|впредь|пожалуйста|уже|на (?:этот|мой|эту|мою) \w+) ?)"
_RU_THEM = r"(?:(?:ваш\w*|сво\w+|эт\w+|никаки\w+|всяки\w+|тако\w+|мне|нам|больше|от вас) )"
_UK_WRITE = r"(?:(?:пишіть|писати|пиши|турбуйте|турбувати|спамити)\b)"
_UK_SEND = r"(?:(?:надсилайте|надсилати|присилайте|присилати|шліть|слати)\b)"
_UK_MESSAGES = r"(?:(?:sms|смс\w*|повідомлен\w+|лист\w+|розсил\w+|опитуван\w+|спам\w*|реклам\w+|нічого)\b)"
_DE_MESSAGES = r"(?:(?:e ?mails?|mails?|nachrichten|sms|umfragen?|werbung|newsletter)\b)"
_ES_MESSAGES = r"(?:(?:mensajes?|mensagens|sms|correos?|e ?mails?|encuestas?|pesquisas?|publicidad|mas|mais|nada)\b)"
PHRASES = (
    # English
    r"(?:un ?subscribe|unsuscribe|unsubcribe|unsubscibe)\b(?! (?:button|link|page))",
    r"(?:opt|opting) (?:me |us )?out\b(?! of (?!this|these|those|your|all|any|the (?:sms|text|mail|e ?mail|survey)))",
    (
        rf"{_STOP_DOING} (?:te?xting|messaging|mailing|e ?mailing|contacting|writing|spamming|bothering|harassing"
        r"|pestering)(?: to)?(?: (?:me|us|this|these|it)\b|$)"
    ),
    (
        rf"{_STOP_DOING} sending(?: (?:me|us|to|any|all|more|these|those|this|your|the|so|many|out|such|further))*"
        rf"(?: {_MESSAGES}| things| anything|$)"
    ),
    rf"{_STOP_DOING} receiving\b",
    rf"{_STOP_DOING} (?:with )?(?:(?:all|any|the|these|those|this|your|further) )*{_MESSAGES}",
    (
        rf"{_DO_NOT} (?:ever )?(?:text|message|mail|e ?mail|contact|write|bother|spam|survey|sms)(?: to)?"
        r"(?: (?:me|us|this number|this address|again|any ?more)\b)"
    ),
    rf"^(?:please )?{_DO_NOT} (?:ever )?(?:text|message|mail|e ?mail|contact|write|bother|spam)(?: please)?$",
    (
        rf"{_DO_NOT} (?:ever )?send (?:(?:me|us|any|more|these|those|this|your|further|such) )*(?:{_MESSAGES}|anything"
        rf"|more$)"
    ),
    (
        r"(?:do not|dont|don t|no longer) (?:want|wish|need)(?: you)? to (?:receive|get|be contacted|contact me|text me"
        r"|e ?mail me)\b"
    ),
    (
        rf"(?:(?:do not|dont|don t|no longer) (?:want|wish|need)|no) (?:(?:any|more|your|these|those|further"
        rf"|other) )+{_MESSAGES}"
    ),
    (
        rf"(?:take|get|remove|delete|drop|strike) (?:me|us|my (?:number|phone|e ?mail|mail|address|name))"
        rf"(?: (?:off|from|out of)(?: (?!wait|guest)\w+){{0,3}} {_LIST}| please$| now$|$)"
    ),
    r"(?:leave me alone|cease and desist|lose my number)\b",
    # Russian
    r"отпи(?:шите|ши|сать) (?:пожалуйста )?(?:меня|нас|мой|мою|от)\b",
    r"(?:отписаться|отписаца)\b(?! (?:на|в|о|об|что|как|куда|когда|если)\b)",
    (
        rf"(?:прекратите|перестаньте|хватит|прекращайте|кончайте|завязывайте|прошу не|не надо|не нужно|не) {_RU_TO_ME}*"
        rf"{_RU_WRITE} {_RU_TO_ME}+"
    ),
    (
        rf"(?:прекратите|перестаньте|хватит|прекращайте|кончайте|завязывайте) {_RU_TO_ME}*"
        rf"(?:{_RU_WRITE}|{_RU_SEND}(?: {_RU_THEM}*{_RU_MESSAGES}|$| {_RU_TO_ME}+$)|{_RU_THEM}*{_RU_MESSAGES})"
    ),
    rf"(?:не надо|не нужно) {_RU_TO_ME}+{_RU_WRITE}",
    rf"(?:мне|нам|сюда|меня|больше|никогда) (?:прошу )?не (?:надо |нужно )?{_RU_TO_ME}*{_RU_WRITE}",
    rf"не (?:надо |нужно |стоит )?{_RU_TO_ME}*{_RU_SEND} {_RU_TO_ME}*{_RU_THEM}*(?:{_RU_MESSAGES}|ничего|$)",
    (
        rf"(?:мне|нам|больше|прошу) не (?:надо |нужно )?{_RU_TO_ME}*{_RU_SEND} ?(?:{_RU_TO_ME}*$"
        rf"|{_RU_THEM}*{_RU_MESSAGES})"
    ),
    (
        rf"не (?:хочу|желаю|хотим|согласен|согласна|буду) {_RU_TO_ME}*(?:от вас )?(?:получать|видеть|читать) "
        rf"{_RU_THEM}*(?:{_RU_MESSAGES}|ничего)"
    ),
    rf"не (?:надо|нужно|нужны) {_RU_TO_ME}*{_RU_THEM}*{_RU_MESSAGES}",
    (
        r"(?:удалите|уберите|исключите|вычеркните|удали|убери|исключить|удалить|убрать) (?:пожалуйста )?(?:меня"
        r"|нас)?(?: ?из "
        r"(?:ваш\w+ |эт\w+ |вс\w+ )?(?:баз\w+|списк\w+|рассыл\w+|контакт\w+)|(?<=меня)$)"
    ),
    r"(?:удалите|уберите|удали|убери) (?:пожалуйста )?(?:мой номер|номер|мой телефон|мой e ?mail|мою почту)\b",
    (
        rf"(?:отключите|отмените|остановите|отмена|отменить|отключить|аннулируйте|отказываюсь от"
        rf"|отказаться от) {_RU_TO_ME}*"
        rf"{_RU_THEM}*(?:{_RU_MESSAGES}|подписк\w+)"
    ),
    # Ukrainian, Kazakh
    r"відпи(?:шіть|ши|сати)(?: будь ласка)? (?:мене|нас|від)\b|відписати(?:ся|сь)\b",
    (
        rf"(?:припиніть|досить|перестаньте|годі) (?:мені |мене |вже )*(?:{_UK_WRITE}"
        rf"|{_UK_SEND}(?: \w+)? ?{_UK_MESSAGES}?$)"
    ),
    rf"(?:не (?:треба )?{_UK_WRITE} (?:будь ласка )?(?:мені|мене|більше)|(?:більше|мені) не (?:треба )?{_UK_WRITE})\b",
    rf"не (?:треба )?(?:більше )?{_UK_SEND} (?:мені |більше |ваші |ці |жодних )*(?:{_UK_MESSAGES}|$)",
    rf"не (?:хочу|бажаю) (?:більше )?отримувати (?:\w+ )?{_UK_MESSAGES}",
    r"(?:видаліть|приберіть) (?:мене|мій номер|мою пошту)\b",
    r"(?:маған|бұдан былай|енді) (?:\w+ )?(?:жазбаңыз|жібермеңіз|жазбаңдар|жібермеңдер)\w*",
    r"(?:хабарлама|смс|sms)\w* (?:жібермеңіз|жазбаңыз|жіберуді тоқтат|керек емес|алғым келмейді)\w*",
    r"(?:мені )?(?:тізімнен|жазылымнан) (?:шығар|өшір|алып таста)\w*",
    # German, Dutch
    r"(?:mich|uns) (?:bitte )?(?:(?!nicht)\w+ ){0,4}(?:abmelden|austragen|abzumelden|auszutragen|streichen|loschen)\b",
    (
        r"(?:melde[nt]?|trage?[nt]?|streiche[nt]?|losche[nt]?|nehmen?|nehmt) (?:sie )?(?:mich|uns)\b "
        r"(?:(?!nicht)\w+ ){0,4}(?:ab$|aus$|raus|ab vom|newsletter|verteiler|\w*liste)\b"
    ),
    rf"{_DE_MESSAGES} (?:bitte )?(?:abbestellen|abmelden|stoppen|einstellen)",
    rf"keine (?:weiteren |solchen |sms |mails? )*{_DE_MESSAGES}(?: \w+){{0,2}} (?:mehr|schicken|senden|zusenden)\b",
    rf"(?:will|mochte|wunsche|wollen|brauche) (?:\w+ ){{0,3}}keine (?:weiteren |solchen |ihrer )*{_DE_MESSAGES}",
    r"(?:schreiben|kontaktieren|belastigen|anschreiben) sie (?:mir|mich|uns) (?:\w+ ){0,2}nicht\b",
    rf"(?:schicken|senden) sie (?:mir|uns) (?:\w+ ){{0,2}}(?:nichts|keine (?:\w+ )?{_DE_MESSAGES})(?: mehr)?",
    (
        r"(?:mir|mich) (?:bitte )?(?:nicht|nichts|nie) (?:mehr|wieder) (?:schreiben|schicken|senden|kontaktieren"
        r"|anschreiben)"
    ),
    r"(?:horen|hort) sie auf (?:mir|mich|uns) zu (?:schreiben|belastigen|kontaktieren)",
    r"(?:schrijf|meld) (?:me|mij) (?:\w+ )?(?:uit|af)\b",
    # French
    r"(?:desabonn|desinscri|desinscriv)(?:ez|er|re|ir)(?: moi)?\b",
    (
        r"(?:arretez|cessez|stop) (?:de |d )(?:m |me |nous )?(?:ecrire|contacter|harceler|spammer|solliciter|deranger"
        r"|embeter"
        r"|envoyer (?:des |vos |ces |tous ces |du |les )*(?:messages?|mails?|e ?mails?|sms|spam|enquetes?|pub))"
    ),
    r"ne (?:m |me |nous )(?:ecrivez|contactez|sollicitez|derangez|recontactez) (?:plus|pas|jamais)\b",
    (
        r"ne (?:m |me |nous )envoyez (?:plus|jamais) (?:rien|(?:de |d |vos |ces )*(?:messages?|mails?|e ?mails?|sms"
        r"|enquetes?))|"
        r"ne (?:m |me |nous )envoyez plus(?: rien)?$"
    ),
    (
        r"(?:ne )?(?:veux|souhaite|desire|voudrais) (?:ne )?(?:pas |plus )+(?:recevoir (?:de |d |vos |ces |aucun )*"
        r"(?:messages?|mails?|e ?mails?|sms|enquetes?)|etre contacte|etre sollicite)"
    ),
    r"(?:retirez|supprimez|enlevez|rayez) (?:moi\b|mon (?:numero|adresse|email|mail)\b)",
    r"ne plus (?:m |me |nous |etre )?(?:recevoir|envoyer|ecrire|contacte|solliciter)|me desabonne\b",
    # Spanish, Portuguese
    r"(?:sair|remover|me tirar) da lista\b",
    r"(?:dar(?:me|nos|se)?|denme|deme|dame|quiero|solicito|pido) (?:(?:la|mi) )?(?:de )?baja\b",
    r"(?:cancelar|anular|cancelen|anulen|cancele) (?:mi |la |a |minha )?(?:suscripcion|inscricao|assinatura)",
    (
        rf"(?:dejen?|paren?|deja|pare|parem) de (?:me )?(?:(?:escribir|molestar|contactar|escrever|incomodar"
        rf"|perturbar)(?:me|nos)?"
        rf"|(?:enviar|mandar)(?:me|nos)?(?: estos| esses| tantos| seus)? {_ES_MESSAGES})"
    ),
    r"(?:no|nao) me (?:escriban?|contacten?|molesten?|escreva[m]?|incomodem?|contatem?|contacte[m]?)\b",
    (
        rf"(?:no|nao) (?:me )?(?:envien?|manden?|envies|mandes|enviem|mandem|envie|mande)(?: sus| seus"
        rf"| estos)? {_ES_MESSAGES}"
    ),
    rf"(?:no|nao) (?:quiero|deseo|quero|desejo) (?:mas |mais )?(?:recibir|receber)(?: \w+)? ?(?:{_ES_MESSAGES}|$)",
    rf"(?:no|nao) (?:quiero|quero) (?:mas|mais) {_ES_MESSAGES}|no mas mensajes",
    (
        r"(?:eliminen|borren|saquen|quiten|remova|removam|retirem?|tirem?) (?:mi numero|mi correo|meu (?:numero|e ?mail"
        r"|contato))\b"
    ),
    r"(?:eliminenme|borrenme|saquenme|quitenme|borrarme|eliminarme)\b",
    r"me (?:remova|removam|descadastr\w+|retirem?|tirem?)(?: d\w+ (?:lista|cadastro)|$)|descadastr(?:ar|em?|e me)\b",
    # Italian
    (
        r"(?:disiscriv|cancella|toglie|rimuove|elimina)(?:mi|temi|rmi)(?: da(?:l|lla|i|lle)?\b| subito|$)"
        r"|disiscriver(?:mi|ti)\b"
    ),
    r"(?:smett\w+|finit\w+|piantat\w+) di (?:scriver|contattar|disturbar|inviarmi|mandarmi|inviare|mandare)\w*",
    r"non (?:mi )?(?:scrivete|scrivere|contattate|contattare|disturbate|disturbare)(?:mi)?(?: piu| mai|$)",
    r"non (?:scrivetemi|contattatemi|disturbatemi)\b",
    (
        r"non (?:mi )?(?:inviate|mandate|inviatemi|mandatemi|inviare|mandare) (?:piu |altr\w+ )*(?:messaggi|e ?mail|sms"
        r"|niente|nulla|piu$)"
    ),
    (
        r"non (?:voglio|desidero|vorrei) (?:piu )?(?:ricevere (?:\w+ ){0,2}(?:messaggi|e ?mail|mail|sms"
        r"|niente|comunicazioni)"
        r"|essere contattat\w)"
    ),
    r"(?:disiscrizione|annullare (?:l )?iscrizione)\b",
    # Polish, Czech
    (
        r"(?:wypisz|wypiszcie|wypisac|usuncie|usunac|usun|skreslcie) (?:prosze )?(?:mnie|moj (?:numer|adres|mail|email)"
        r"|z listy)\b"
    ),
    r"mnie (?:prosze )?(?:wypisac|usunac)\b",
    r"nie (?:pisz|piszcie|pisac|nekajcie|kontaktujcie sie)(?: do)? (?:mnie|mi|wiecej|juz|ze mna)\b",
    (
        r"nie (?:wysylajcie|wysylaj|wysylac|przysylajcie|przysylac)(?: do mnie| mi| wiecej| juz| mi wiecej)* (?:sms\w*"
        r"|maili|wiadomosci|nic)"
    ),
    r"nie (?:wysylajcie|wysylac|przysylajcie|przysylac) (?:mi )?(?:wiecej|juz)$",
    r"nie (?:chce|zycze sobie) (?:juz |wiecej )*(?:otrzymywac|dostawac)? ?(?:tych |waszych )?(?:wiadomo|sms|maili)\w*",
    (
        r"przesta(?:n\w*|c) (?:do mnie |mi )?(?:pisac|spamowac|nekac|(?:wysylac|przysylac) (?:mi )?(?:sms|maile"
        r"|wiadomosci)\w*)"
    ),
    r"rezygnuje z (?:subskrypcji|newslettera|wiadomosci|otrzymywania)\b",
    r"odhlas\w+ me\b|neposilejte mi\b",
    # Turkish
    r"(?:abonelik\w*|liste\w*) (?:cik|sil|iptal|kaldir)\w*",
    r"(?:mesaj|sms|mail|e ?posta|eposta)\w* (?:at|gonder|yaz|yolla)m[ae]yin(?:iz)?\b",
    r"(?:bana|bir daha|artik) (?:\w+ )?(?:yaz|yolla|mesaj at|ulas)m[ae]yin(?:iz)?\b",
    r"(?:mesaj|sms|mail|e ?posta|eposta)\w* (?:\w+ )?(?:almak )?istemiyorum",
    r"rahatsiz etmeyin",
)
# words directly before a phrase that turn its meaning round; a helping verb may stand between
NEGATIONS = (
    r"(?:do not|dont|don t|does not|did not|didn t|never|not|cannot stop|wont|won t|no need to|"
    r"не|ne|nicht|nie|no|non|nao|не надо|не нужно|не треба|niemals)"
    r"(?: (?:want|wish|intend|need|plan|ever|going|please|you|хочу|хотел|хотела|буду|собираюсь|надо|нужно|бажаю|"
    r"mochte|will|veux|souhaite|quiero|quero|voglio|chce|me|m|mi|vous|mich))*(?: (?:to|zu|de|a))?"
)
# clauses after a phrase that make it depend on something, or that say what it is really about
CONDITIONS = (
    r"\b(?:unless|until|if|when|while|before|after|till|during|at night|so (?:late|early|often)|about (?:my|the) order"
    r"|что|если|пока|когда|покуда|ночью|так (?:поздно|рано|часто)|якщо|поки|коли|wenn|bevor|bis|solange|falls|nachts"
    r"|sauf|quand|avant|tant que|la nuit|cuando|hasta|excepto|salvo|quando|prima|finche|ate|jesli|dopoki|kiedy)\b"
)

# sentences that say how to end the messages, as automatic replies and footers do; regular expressions as above
INSTRUCTIONS = (
    (
        r"^(?:to|in order to|if you (?:want|wish|would like|prefer|no longer|do not|don t)) .*"
        r"\b(?:click|tap|press|visit|follow|reply|respond|text|send|use|go to)\b"
    ),
    r"^(?:please |just )?(?:click|press|visit|follow|reply|respond|text|send)\b.* to (?:unsubscribe|opt out|stop)\b",
    r"^(?:чтобы|для того чтобы|если вы|если хотите) .*\b(?:нажмите|перейдите|ответьте|отправьте|кликните)\b",
    r"^(?:щоб|якщо ви|якщо бажаєте) .*\b(?:натисніть|перейдіть|надішліть)\b",
    r"^(?:um sich|wenn sie|falls sie|zum) .*\b(?:klicken|antworten|senden|folgen|besuchen)\b",
    r"^(?:pour (?:vous|se|ne plus)|si vous) .*\b(?:cliquez|repondez|envoyez|suivez)\b",
    (
        r"^(?:para (?:dar|cancelar|dejar|anular|sair|parar)|si (?:quiere|desea|no desea)) .*"
        r"\b(?:haga|haz|pulse|responda|envie|visite|clique)\b"
    ),
    r"^(?:per (?:annullare|cancell|disiscriv|non)\w*|se (?:vuoi|desidera)) .*\b(?:clicca|clicchi|rispondi|invia)\b",
)
