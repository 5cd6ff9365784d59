"""Every request comes from another client: the server stops listening to one who shows many wrong passwords."""

import itertools

import schemathesis

clients = itertools.count(1)


@schemathesis.hook
def before_call(context, case, kwargs):
    number = next(clients)
    case.headers["X-Forwarded-For"] = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
