"""Whether the process is well, and whether it is ready; without a key."""

from starlette.requests import Request

from chargeback_worker.api.answers import Answer
from chargeback_worker.api.routing import Routes
from chargeback_worker.api.schemas.books import Health, Ready

routes = Routes("health", prefix="")


@routes.declare("GET", "/healthz", role=None, answers={200: Health, 503: Health})
async def get_health(request: Request) -> Answer:
    """Whether it is well

    503 where it should be started anew.
    """
    # It asks nobody, so it takes no thread: all may be held, and a new start would help nobody.
    faults = dict(request.app.state.health.stuck())
    return Answer({"healthy": not faults, "faults": faults}, 503 if faults else 200)


@routes.declare("GET", "/readyz", role=None, answers={200: Ready, 503: Ready})
def get_readiness(request: Request) -> Answer:
    """Whether it is ready

    503 names each part that is not.
    """
    faults = dict(request.app.state.health.not_ready())
    return Answer({"ready": not faults, "faults": faults}, 503 if faults else 200)
