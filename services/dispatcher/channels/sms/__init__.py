"""Text messages: one module per provider's wire format, one way to send through any of them."""

from services.dispatcher.channels.sms.gateway import Gateway, Inquiry, SmsAccount
from services.dispatcher.channels.sms.generic import Description, Generic
from services.dispatcher.channels.sms.routing import EVERYWHERE, SmsRouter, country_of
from services.dispatcher.channels.sms.smsc import Smsc
from services.dispatcher.channels.sms.twilio import Twilio

__all__ = [
    "EVERYWHERE",
    "Description",
    "Gateway",
    "Generic",
    "Inquiry",
    "SmsAccount",
    "SmsRouter",
    "Smsc",
    "Twilio",
    "country_of",
]
