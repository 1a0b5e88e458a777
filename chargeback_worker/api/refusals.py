"""What only the HTTP door refuses; each is a type of problem with a page of its own."""

from collections.abc import Iterable
from typing import NamedTuple

from chargeback_worker.allocation.writing.faults import Refused
from chargeback_worker.errors import Conflict, Invalid, NotFound, Unavailable
from chargeback_worker.usage.refusal import Reason, RefusedEvent, shown


class At(NamedTuple):
    """A place in a request, and what is wrong there: in the body, a parameter or a header.

    `place` is a JSON pointer for the body, else a name.
    """

    kind: str
    place: str
    detail: str
    code: str | None = None


class Pointed(Invalid):
    """A refusal that knows its places."""

    def __init__(self, message: str, hint: str = "", *, at: Iterable[At] = ()) -> None:
        super().__init__(message, hint)
        self.at = tuple(at)


class BodyUnreadable(Pointed):
    """The body is not one JSON object in UTF-8 that says each thing once."""

    def __init__(self, detail: str, code: str) -> None:
        super().__init__(
            f"The body cannot be read: {detail}", at=[At("pointer", "#", detail, code)]
        )


class BodyRefused(Refused):
    """A field of the body is unknown, missing, or of the wrong kind."""

    WHAT = "body"


class UsageRefused(Pointed):
    """A usage event that cannot be counted as it is; nothing of it was kept."""

    def __init__(self, refused: RefusedEvent) -> None:
        super().__init__(
            refused.detail,
            "Nothing was stored. Correct the event and send it again.",
            at=[At("pointer", f"#{refused.pointer}", refused.detail, refused.reason.value)],
        )
        self.reason = refused.reason

    @property
    def by_state(self) -> bool:
        """Whether a setting or the clock shows it, rather than the body alone."""
        return self.reason in (Reason.TIME_OUT_OF_RANGE, Reason.TOO_OLD)


class ParameterRefused(Pointed):
    """A parameter of the request is unknown, missing, given twice, or cannot be read."""

    def __init__(self, at: Iterable[At]) -> None:
        found = tuple(at)
        told = "; ".join(f"{one.place}: {one.detail}" for one in found)
        super().__init__(f"The request cannot be read: {told}.", at=found)


class RangeTooLong(Pointed):
    """More days were asked for than one request may ask for."""

    def __init__(self, days: int, most: int) -> None:
        detail = f"The range has {days:,} days; one request may ask for {most:,}."
        super().__init__(detail, "Ask for parts of it.", at=[At("parameter", "period", detail)])


class NotJson(Invalid):
    """The body is announced as something other than JSON, or as nothing."""

    def __init__(self, given: str | None, wanted: str) -> None:
        told = "no Content-Type" if not given else f"the Content-Type {shown(given)}"
        super().__init__(f"The request has {told}; this takes {wanted}.", f"Send {wanted}.")


class BodyTooLarge(Invalid):
    """The body is larger than this endpoint takes."""

    def __init__(self, most: int) -> None:
        super().__init__(
            f"The body is larger than the {most:,} bytes that are taken here.",
            "Send less at once; POST /api/chargeback/usage/batch takes any number of JSON lines.",
        )


class TooManyItems(Invalid):
    """A batch has more events than one request may bring."""

    def __init__(self, most: int) -> None:
        super().__init__(
            f"The batch has more than {most:,} events; those up to there are stored.",
            "Send the rest in a request of its own.",
        )


class BodyTooSlow(Invalid):
    """The body did not arrive in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"The body did not arrive within {seconds:g} s.", "Send it again, faster or in parts."
        )


class TookTooLong(Unavailable):
    """A read did not end within the time that a request may take."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"This was not read within {seconds:g} s (api.request_timeout).",
            "Ask for fewer days or a shorter page, or try again later.",
        )


class StillUnderWay(Unavailable):
    """A write did not end within the time that a request may take; it goes on, and may be done yet.

    Tried again with the same Idempotency-Key, it is waited for, and answered with what came of it.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"This was not done within {seconds:g} s (api.request_timeout); it goes on, and may be"
            " done yet.",
            "Try the same again; only usage with neither an id nor an Idempotency-Key counts anew.",
        )


class VerifyUnderWay(Unavailable):
    """The books are being verified for another request; one at a time is done here."""

    def __init__(self) -> None:
        super().__init__(
            "The books are being verified for another request already.",
            "Wait for it, or run it beside the API: chargeback verify",
        )


class KeyMissing(Invalid):
    """The request has no API key, and this server asks for one."""

    def __init__(self) -> None:
        super().__init__(
            "This needs an API key.",
            "Send it as Authorization: Bearer KEY; chargeback keys create makes one.",
        )


class KeyUnknown(Invalid):
    """The API key is not known here, or it was revoked."""

    def __init__(self) -> None:
        super().__init__(
            "The API key is not known, or was revoked.",
            "See which there are: chargeback keys list",
        )


class RoleTooLow(Invalid):
    """The key is known, but its role does not reach as far as this."""

    def __init__(self, role: str, wanted: str) -> None:
        super().__init__(
            f"This needs a key with the role {wanted}; this one may {role}.",
            f"Make one: chargeback keys create --role {wanted}",
        )


class OutOfScope(Invalid):
    """The key is scoped to a team or user, and this is not theirs alone."""

    def __init__(self, scope: str, detail: str | None = None, hint: str | None = None) -> None:
        super().__init__(
            detail or f"This key sees only what is of {scope}.",
            hint or "Ask for that, or use a key without a scope.",
        )


class NotLocal(Invalid):
    """Without any key the API answers this machine alone, under a name of this machine."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"There is no API key yet, so only this machine may ask: {why}.",
            "Make the first key: chargeback keys create --role admin",
        )


class PathUnknown(NotFound):
    """Nothing is served under this path."""

    def __init__(self, path: str) -> None:
        super().__init__(f"There is nothing under {shown(path)}.", "See what there is: /docs")


class MethodUnknown(Invalid):
    """The path is known, but not with this method."""

    def __init__(self, method: str, allowed: Iterable[str]) -> None:
        self.allowed = sorted(allowed)
        super().__init__(
            f"{shown(method)} is not possible here; {', '.join(self.allowed)} is.",
            "See what there is: /docs",
        )


class KeyReused(Conflict):
    """An Idempotency-Key came again with another request, or another piece of a batch."""

    def __init__(self, what: str = "request", besides: str = "") -> None:
        hint = "Take a new key for each thing to be done, and the same one only to try it again."
        super().__init__(
            f"This Idempotency-Key was used for another {what}.", f"{hint} {besides}".rstrip()
        )


class InternalError(Exception):
    """A fault of the program; the log has it under the request's id."""
