"""What a mail server's refusal means: from its codes (RFC 5321, RFC 3463) and its text, which is often more precise."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from services.dispatcher.domain.receipts import ReceiptKind

_ENHANCED = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,4})(?![\d.])")
_BASIC = re.compile(r"(?:^|[;:\s(])([245]\d\d)(?=[\s\-#(]|$)")
_ADDRESS = re.compile(r"<?[\w.+=\-]+@[\w.\-]+>?")  # its words say nothing about the refusal
_MOST_READ = 2000


class RefusalCause(StrEnum):
    """Whom a refusal is about."""

    NO_SUCH_ADDRESS = "no_such_address"
    MAILBOX = "mailbox"  # it exists: full, over its quota, or not reachable now
    ABOUT_US = "about_us"  # our rate, quota, credentials, reputation or sender
    CONTENT = "content"  # a filter or a policy: about us, if several recipients in a row get it
    GREYLISTED = "greylisted"  # each recipient's first mail is accepted later
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Refusal:
    """The meaning of a refusal; `status` is the more precise one of its codes."""

    cause: RefusalCause
    is_temporary: bool
    status: str | None

    @property
    def bounce(self) -> ReceiptKind:
        """The kind of bounce when this refusal is final, because nobody tries again."""
        if self.cause is RefusalCause.NO_SUCH_ADDRESS:
            return ReceiptKind.HARD_BOUNCE
        if self.cause in (RefusalCause.ABOUT_US, RefusalCause.CONTENT):
            return ReceiptKind.UNDELIVERED
        return ReceiptKind.SOFT_BOUNCE

    def bounce_unless_unclear(self, otherwise: ReceiptKind) -> ReceiptKind:
        """Return the kind of bounce, or what the provider calls it where the codes and the text say nothing."""
        return otherwise if self.cause is RefusalCause.UNCLEAR and not self.is_temporary else self.bounce


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_GREYLISTED = _any(
    r"gr[ea]y-?\s?list",
    r"come back (?:later|in)",
    r"try again in \d+ (?:sec|min)",
    r"deferred for \d+ sec",
    r"first (?:time )?(?:seen|contact)",
)
_OUR_SENDING = _any(
    r"throttl",
    r"(?:sending|outgoing|outbound|message|mail|smtp|connection|submission|delivery"
    r"|e-?mails?)[\w ]{0,20} (?:rate|limit|quota)s?\b",
    r"(?:daily|hourly|monthly|per hour|per day|per minute)[\w ]{0,30}(?:limit|quota|exceed)",
    r"\b(?:rate|ratelimit)[\s-]?(?:limit|exceed|control)",
    r"too (?:many|much) (?:messages|mails?|e-?mails?|connections?|recipients|sessions|concurrent|unknown"
    r"|requests|invalid|errors)",
    r"exceed\w* (?:the |your |its )?(?:max\w*|allowed|permitted|configured)?[\w ]{0,20}(?:e-?mails?|messages"
    r"|recipients) (?:per|an|in)\b",
    r"unusual (?:rate|volume|amount)",
    r"unexpected volume",
    r"user complaints",
)
_OUR_NAME = _any(
    r"spamhaus|spamcop|sorbs|uceprotect|invaluement|barracudacentral|barracuda reputation"
    r"|proofpoint\.com/?\?ip|abusix|mailspike",
    r"dnsbl|\brbl\b|block ?-?list|black ?-?list|deny ?-?list|blocked using|\bS3[13][45]\d\b|\bSC-00\d|\b(?:TSS"
    r"|CS|HVU|RLY|DY)[0-9]{1,3}\b",
    r"(?:\bip\b|client host|(?:your|sending|connecting|sender) (?:host|server|network|mta)|address range|their network)"
    r"(?:(?!said)[\w\s:\[\]().]){0,60}(?:\bblocked|\blisted|banned|poor|rejected|deferred)",
    r"reputation",
    r"reverse (?:dns|lookup|hostname)|\bptr\b|\brdns\b|\bhelo\b|\behlo\b|cannot find your (?:reverse )?hostname",
    r"\bspf\b|\bdkim\b|\bdmarc\b|unauthenticated|not authenticated|authentication (?:required|failed|failure"
    r"|expired|credentials)",
    r"authenticat\w+[\w ]{0,20}(?:expired|invalid|revoked)|credentials|password (?:transition|expired)|(?:must"
    r"|need to) log ?in",
    r"sender (?:address |e-?mail |domain )?(?:rejected|denied|verif|not |is not|unknown|invalid|blocked"
    r"|unauth)|sender'?s? (?:account|domain|ip)",
    r"(?:bad|invalid|unverified|banned|unknown|forged|spoofed) sender|send as|anti-?spoofing|not (?:allowed"
    r"|permitted|authori[sz]ed) to (?:send|relay)",
    r"(?:domain of (?:the )?sender|sender'?s? (?:e-?mail |mail )?(?:address|domain)|return[- ]?path|mail from)\b"
    r"[\w\s'.:\[\]()\-]{0,60}(?:n[o'\u2019]t exist|not found|not resolve|unknown|invalid|undeliverable)",
    r"verification failed for\b|invalid dns (?:mx|a)\b|bad dns\b|banned send",
    r"relay(?:ing)? (?:access |attempt )?(?:denied|not (?:permitted|allowed)|rejected)|unable to relay"
    r"|do not relay|relaying",
    r"(?:your|this|sending|customer) (?:account|domain|service|access)[\w ]{0,40}(?:suspended|disabled|blocked"
    r"|paused|locked|restricted|expired|over)",
    r"sending (?:paused|disabled|suspended)|identities failed the check|not verified|trial account|plan limit"
    r"|insufficient (?:credit|funds|balance)",
)
_TOO_LARGE = _any(r"message[\w ]{0,10} (?:size|too (?:large|big|long))|size (?:exceeds|limit)|too large")
_CONTENT = _any(
    r"unsolicited|\bspam\b|likely spam|spam ?message|bulk mail|abus(?:e|ive)\b",
    r"policy|prohibit|administrative(?:ly)? (?:denied|blocked)|content (?:rejected|blocked|filter)"
    r"|message (?:content )?(?:rejected|refused|blocked)",
    r"virus|malware|phishing|envelope blocked|attachment",
)
_FULL = _any(
    r"(?:over|exceed\w*|out of|beyond)[\w' ]{0,25} (?:quota|storage|disk|space|allotted)",
    r"quota[\w' ]{0,15} exceed|over-?quota|quotaexceeded|mailbox[\w' ]{0,20} full|(?:inbox|mailbox|account"
    r"|user)[\w ]{0,10}is full|mailfolder full",
    r"receiving mail (?:at a rate|too quickly)|insufficient (?:disk )?(?:storage|space)|(?:mailbox|inbox"
    r"|folder)[\w ]{0,20} limit|storage (?:limit|allocation|quota)",
)
_NOBODY = _any(
    r"user ?unknown|unknown (?:user|recipient|mailbox|address|account|local|or illegal alias|host|domain)",
    r"no ?such ?(?:user|mailbox|recipient|account|person|address|domain|local user|name|host)",
    r"(?:does ?n[o'\u2019]?t|do not|doesn t|not) exist|no longer (?:exists?|available|valid|active"
    r"|accept|in use|work|with|employed)",
    r"(?:recipient|user|mailbox|account|address|username|alias)\b[\w\s:'\"()]{0,30}(?:\bnot ?found|\bunknown"
    r"|\binvalid|not recogni[sz]ed|\bnot known)",
    r"(?:invalid|bad|incorrect|illegal|non-?existent|nonexistent|undeliverable) (?:destination )?(?:recipient"
    r"|mailbox|address|user|e-?mail)",
    r"not a (?:valid|known|local) (?:recipient|mailbox|user|address)|isn'?t a (?:valid|known)|not our customer"
    r"|no (?:mailbox|account|user|recipient) (?:here )?by that name",
    r"unrouteable (?:mail )?(?:address|domain)|unroutable|mailbox (?:is |currently |has been )*(?:unavailable"
    r"|disabled|inactive|not available|closed|suspended|deleted|deactivated)",
    r"(?:account|user|recipient|address|mailbox)\b[\w\s']{0,40}(?:is|has been|was) (?:currently )?(?:disabled"
    r"|inactive|suspended|deactivated|closed|deleted|discontinued|expired|terminated|blocked for inactivity)",
    r"recip(?:ient)?\.?not\.?found|n[o'\u2019]t have an? \S+ account"
    r"|recipient address rejected: access denied|mailbox not found",
    r"(?:host|domain)(?: or domain)?(?: name)? (?:was )?not found|couldn'?t find any host|null ?mx|(?:domain"
    r"|host)[\w ]{0,20} (?:does not accept|accepts no) mail",
    r"cannot deliver mail for|(?:recipient|address|mailbox)[\w ]{0,20}(?:has moved|changed)"
    r"|weren'?t able to find the recipient domain",
    r"dns domain[\w ']{0,40}does not exist|адресат не найден|пользователь не найден",
)
_CODES = {
    RefusalCause.NO_SUCH_ADDRESS: ("1.0", "1.1", "1.2", "1.3", "1.6", "1.10", "1.351", "2.1", "4.310"),
    RefusalCause.ABOUT_US: ("4.5", "5.3"),
    RefusalCause.CONTENT: ("3.4",),  # too large
    RefusalCause.MAILBOX: ("2.0", "2.2", "2.3", "2.4"),
}
_OUR_CODES = ("1.7", "1.8")  # the sender's address, whatever the words say of it
_CONTENT_SUBJECTS = ("6", "7")


def read_refusal(*, code: int | None = None, status: str = "", text: str = "") -> Refusal:
    """Read a refusal: `code` is the SMTP reply's, `status` a report's, `text` the reply or the diagnostic code.

    A temporary code wins over a permanent one of a server in between that gave up; words win over codes, and of two
    codes the one with more detail.
    """
    text = text[:_MOST_READ]
    codes = [match.groups() for match in (*_ENHANCED.finditer(text), *_ENHANCED.finditer(status))]
    precise = max(codes, key=_detail, default=None)
    basic = _BASIC.search(text) if code is None else None
    reply = code if code is not None else int(basic[1]) if basic else None
    is_temporary = _is_temporary(reply, precise)
    cause = _cause(_ADDRESS.sub(" ", text), precise, is_temporary=is_temporary)
    return Refusal(cause, is_temporary, ".".join(precise) if precise else None)


def _detail(code: tuple[str, ...]) -> int:
    _, subject, detail = code
    return (subject != "0") + (detail != "0")


def _is_temporary(reply: int | None, precise: tuple[str, ...] | None) -> bool:
    if reply is not None:
        return 400 <= reply < 500
    return precise is not None and precise[0] == "4"


def _cause(text: str, precise: tuple[str, ...] | None, *, is_temporary: bool) -> RefusalCause:
    if is_temporary and _GREYLISTED.search(text):
        return RefusalCause.GREYLISTED
    if _FULL.search(text) and not re.search("sending|outgoing|daily", text, re.IGNORECASE):
        return RefusalCause.MAILBOX
    if _TOO_LARGE.search(text) and not re.search("mailbox", text, re.IGNORECASE):
        return RefusalCause.CONTENT
    if _OUR_SENDING.search(text) or _OUR_NAME.search(text) or (precise and ".".join(precise[1:]) in _OUR_CODES):
        return RefusalCause.ABOUT_US
    if _NOBODY.search(text):
        return RefusalCause.MAILBOX if is_temporary else RefusalCause.NO_SUCH_ADDRESS
    return RefusalCause.CONTENT if _CONTENT.search(text) else _cause_of_code(precise, is_temporary=is_temporary)


def _cause_of_code(precise: tuple[str, ...] | None, *, is_temporary: bool) -> RefusalCause:
    if precise is None:
        return RefusalCause.UNCLEAR
    _, subject, detail = precise
    named = next((cause for cause, codes in _CODES.items() if f"{subject}.{detail}" in codes), RefusalCause.UNCLEAR)
    if is_temporary and named is RefusalCause.NO_SUCH_ADDRESS:
        return RefusalCause.MAILBOX
    is_policy = named is RefusalCause.UNCLEAR and subject in _CONTENT_SUBJECTS and not is_temporary
    return RefusalCause.CONTENT if is_policy else named
