"""SMS: a module per provider's wire format, and an account that sends through any of them."""

from services.dispatcher.channels.sms.gateway import Inquiry, SmsAccount, SmsGateway
from services.dispatcher.channels.sms.generic import GatewayDescription, GenericGateway
from services.dispatcher.channels.sms.routing import EVERYWHERE, SmsRouter, country_of
from services.dispatcher.channels.sms.smsc import Smsc
from services.dispatcher.channels.sms.twilio import Twilio

__all__ = [
    "EVERYWHERE",
    "GatewayDescription",
    "GenericGateway",
    "Inquiry",
    "SmsAccount",
    "SmsGateway",
    "SmsRouter",
    "Smsc",
    "Twilio",
    "country_of",
]
