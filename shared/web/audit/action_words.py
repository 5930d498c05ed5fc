"""What the audit log records, in words for its page; the log itself has methods and templates of paths."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from shared.contract.suppression_words import REASONS
from shared.contract.vocabulary import Role
from shared.languages.current import gettext, lookup
from shared.languages.marking import mark

_EXPORT_CUSTOMER = mark("export a customer's data")
_REVOKE_KEY = mark("revoke an API key")
_FIGURES = mark("read figures of employees")
ACTIONS: Mapping[str, str] = {
    "POST /v1/respondents/{customer_id:path}/erase": mark("erase a customer"),
    "POST /customers/erase": mark("erase a customer"),
    "POST /v1/programs/{program_id}/state": mark("switch a program"),
    "POST /programs/{program_id}/{state}": mark("switch a program"),
    "PUT /v1/programs": mark("apply programs"),
    "POST /v1/programs": mark("apply programs"),
    "POST /sources/replay/{parked_id}": mark("handle a parked message again"),
    "POST /v1/links": mark("make a survey link"),
    "DELETE /v1/suppressions/{suppression_id}": mark("lift a suppression"),
    "POST /suppressions/{suppression_id}/release": mark("lift a suppression"),
    "POST /suppressions/restore": mark("put a suppression back"),
    "POST /replies/{reply_id}/read": mark("mark a reply as read"),
    "POST /replies/{reply_id}/unread": mark("mark a reply as unread"),
    "POST /mail/programs/{program_id}": mark("send the messages of a program as a test"),
    "POST /mail": mark("send a test mail"),
    "GET /export": mark("export the figures of a view"),
    "POST /shares": mark("share figures"),
    "POST /shares/{share_id}/revoke": mark("end shared figures"),
    "PUT /v1/call-lists/{list_id}": mark("take a list of calls"),
    "DELETE /v1/call-lists/{list_id}": mark("give a list of calls back"),
    "GET /v1/call-lists/export": mark("export a list of calls"),
    "POST /v1/call-lists/{list_id}/calls/{task_id}/answer": mark("save an answer given in a call"),
    "POST /v1/call-lists/{list_id}/calls/{task_id}/outcome": mark("note how a call ended"),
    "POST /desk/keys": mark("choose the keys of the desk"),
    "POST /account/spoken": mark("choose the languages of calls"),
    "POST /desk/take": mark("take a call"),
    "POST /v1/desk/take": mark("take a call"),
    "POST /desk/{task_id}/answer": mark("save an answer given in a call"),
    "POST /desk/{task_id}/keep": mark("give a call back that may not be seen any more"),
    "POST /v1/desk/{task_id}/answer": mark("save an answer given in a call"),
    "POST /desk/{task_id}/outcome": mark("note how a call ended"),
    "POST /v1/desk/{task_id}/outcome": mark("note how a call ended"),
    "POST /desk/pause": mark("begin a pause at the desk"),
    "POST /desk/resume": mark("end a pause at the desk"),
    "POST /desk-team/take-over": mark("take over a call"),
    "GET /desk-team/figures": mark("export figures of operators"),
    "POST /suspects/{answer_id}/confirm": mark("count an answer that looks automatic"),
    "POST /v1/answers/{answer_id}/confirm": mark("count an answer that looks automatic"),
    "POST /suspects/{answer_id}/doubt": mark("do not count an answer that looks automatic"),
    "GET /v1/answers": mark("export answers"),
    "GET /comments": mark("search in comments"),
    "GET /comments/export": mark("export comments"),
    "POST /comments/{answer_id}/tag": mark("give a comment a tag"),
    "POST /comments/{answer_id}/untag": mark("take a tag away from a comment"),
    "POST /v1/answers/{answer_id}/tags": mark("change the tags of a comment"),
    "POST /tags/rename": mark("rename a tag"),
    "POST /tags/drop": mark("take a tag away from every comment"),
    "GET /": _FIGURES,
    "GET /v1/nps": _FIGURES,
    "GET /v1/funnel": _FIGURES,
    "GET /v1/returns": _FIGURES,
    "POST /annotations": mark("mark a day"),
    "POST /v1/annotations": mark("mark a day"),
    "POST /annotations/{annotation_id}/remove": mark("remove the mark of a day"),
    "DELETE /v1/annotations/{annotation_id}": mark("remove the mark of a day"),
    "POST /target": mark("set a target"),
    "POST /benchmarks": mark("add or change a benchmark"),
    "PUT /v1/benchmarks/{name}": mark("add or change a benchmark"),
    "POST /benchmarks/remove": mark("remove a benchmark"),
    "DELETE /v1/benchmarks/{name}": mark("remove a benchmark"),
    "POST /stores/edit": mark("add or change a store"),
    "PUT /v1/stores/{code}": mark("add or change a store"),
    "POST /stores/delete": mark("remove a store"),
    "DELETE /v1/stores/{code}": mark("remove a store"),
    "POST /stores/spelling": mark("say which store a spelling means"),
    "POST /stores/import": mark("import stores"),
    "POST /v1/stores/import": mark("import stores"),
    "GET /stores/export": mark("export stores"),
    "POST /login": mark("log in"),
    "POST /login/kept": mark("log in again on a known device"),
    "POST /login/code": mark("log in with a code"),
    "POST /login/set-up": mark("set up codes at the log-in"),
    "POST /login/forgot": mark("ask for a link for a new password"),
    "POST /login/sample": mark("log in to the demo"),
    "POST /login/with/{provider_id}": mark("log in by an identity provider"),
    "POST /login/from/{provider_id}": mark("log in by an identity provider"),
    "POST /login/leave/{provider_id}": mark("log out by an identity provider"),
    "POST /login/backchannel/{provider_id}": mark("log out by an identity provider"),
    "POST /join/{secret}": mark("open a one-time link"),
    "POST /account/password": mark("change the own password"),
    "POST /account/codes": mark("set up codes for the own log-in"),
    "POST /account/codes/remove": mark("remove the codes of the own log-in"),
    "POST /account/sessions/{session_id}/end": mark("end an own session"),
    "POST /account/language": mark("choose the language of the pages"),
    "POST /account/zone": mark("choose the time zone of the pages"),
    "POST /account/log-out": mark("log out"),
    "POST /people": mark("add a person"),
    "POST /people/import": mark("import people"),
    "POST /people/mail": mark("mail people their links"),
    "POST /people/{person_id}": mark("change a person"),
    "POST /people/{person_id}/link": mark("make a one-time link for a person"),
    "POST /people/{person_id}/off": mark("turn the login of a person off"),
    "POST /people/{person_id}/on": mark("turn the login of a person on"),
    "POST /people/{person_id}/codes/remove": mark("remove the codes of a person's log-in"),
    "POST /people/{person_id}/sessions/end": mark("end the sessions of a person"),
    "POST /v1/webhooks": mark("add a webhook"),
    "DELETE /v1/webhooks/{endpoint_id}": mark("remove a webhook"),
    "POST /v1/webhooks/{endpoint_id}/disable": mark("turn a webhook off"),
    "POST /v1/webhooks/{endpoint_id}/enable": mark("turn a webhook on"),
    "POST /v1/webhooks/{endpoint_id}/rotate": mark("change the secret of a webhook"),
    "POST /v1/webhooks/{endpoint_id}/replay": mark("send to a webhook again"),
    "POST /v1/webhooks/{endpoint_id}/test": mark("send a test to a webhook"),
    "POST /keys/trigger/{key_id}/revoke": _REVOKE_KEY,
    "POST /keys/dispatcher/{key_id}/revoke": _REVOKE_KEY,
    "POST /keys/scoring/{key_id}/revoke": _REVOKE_KEY,
    **{
        f"GET {page}": text
        for service in ("trigger", "dispatcher", "scoring")
        for page, text in {
            f"/audit/{service}/export": mark("export the audit log"),
            f"/customer/{service}": mark("open a customer's page"),
            f"/v1/customer-{service}": _EXPORT_CUSTOMER,
        }.items()
    },
}
_DETAILS: Mapping[str, str] = {
    "added": mark("added"),
    "all_": mark("all"),
    "changed": mark("changed"),
    "days": mark("days"),
    "delivered_too": mark("delivered, too"),
    "dry_run": mark("only tried"),
    "employees": mark("employee codes"),
    "employees_before": mark("employee codes before"),
    "good_only": mark("only good rows"),
    "hours": mark("hours"),
    "id": mark("id"),
    "ids": mark("ids"),
    "name": mark("name"),
    "of": mark("of"),
    "people": mark("people"),
    "programs": mark("programs"),
    "reason": mark("reason"),
    "regions": mark("regions"),
    "role": mark("role"),
    "roles": mark("roles"),
    "roles_before": mark("roles before"),
    "scope": mark("scope"),
    "sees": mark("sees"),
    "sees_before": mark("saw before"),
    "sent": mark("sent"),
    "spoken": mark("languages of calls"),
    "state": mark("state"),
    "stored": mark("stored"),
    "stores": mark("stores"),
    "times": mark("times"),
    "version": mark("version"),
    "withdraw": mark("withdraws open surveys"),
}
_ROLES = {role.value: role.label for role in Role}
_SEES = {"everything": mark("everything")}
_VALUES: Mapping[str, Mapping[str, str]] = {  # by detail: a store may be called `everything`
    "changed": {"email": mark("e-mail address"), "name": mark("name")},
    "reason": REASONS,
    "role": _ROLES,
    "roles": _ROLES,
    "roles_before": _ROLES,
    "sees": _SEES,
    "sees_before": _SEES,
    "state": {
        "on": mark("on"),
        "off": mark("off"),
        "stopped": mark("stopped"),
        "withdrawn": mark("stopped, surveys withdrawn"),
    },
}


def action_in_words(action: str) -> str:
    """Say what an action of the log is; a command, and an action of another version of Earshot, is left as it is."""
    return lookup(ACTIONS[action]) if action in ACTIONS else action


def actions_named(typed: str) -> list[str]:
    """Return the actions whose words have these in them."""
    return [action for action, text in ACTIONS.items() if typed.casefold() in lookup(text).casefold()]


def details_in_words(details: str) -> str:
    """Say what a row adds to its action, such as `roles: manager, analyst; sees: everything`."""
    return _in_words(json.loads(details))


def _in_words(details: Mapping[str, Any]) -> str:
    return "; ".join(f"{_name(name)}: {_value(name, value)}" for name, value in details.items() if value != [])


def _name(name: str) -> str:
    return gettext(_DETAILS[name]) if name in _DETAILS else name.replace("_", " ")


def _value(name: str, value: object) -> str:
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    if isinstance(value, list):
        return ", ".join(_value(name, each) for each in value)
    if isinstance(value, dict):
        return f"({_in_words(value)})"
    words = _VALUES.get(name, {}).get(str(value))
    return lookup(words) if words else str(value)
