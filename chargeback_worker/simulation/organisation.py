"""Who uses what: teams, users, agents, and the prices of models and machines."""

from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from chargeback_worker.money import split

T = TypeVar("T")
TABLE = 256


class Model(NamedTuple):
    """A model, paid by the token. Prices are nano-dollars a token: 2500 is USD 2.50 a million."""

    provider: str
    name: str
    operation: str
    prompt_nano: int
    completion_nano: int
    prompt_scale: int
    completion_scale: int


class Meter(NamedTuple):
    """A machine, paid by the unit, of which `parts` are the smallest quantity."""

    resource_type: str
    unit: str
    parts: int
    part_nano: int
    scale: int


@dataclass(frozen=True, slots=True)
class Team:
    """A team, heaviest users first. Without a team id its users are freelancers; without users as
    well, it is a machine that nobody owns: shared cost."""

    team_id: str | None
    users: tuple[str, ...]
    agents: tuple[str, ...]
    weight: int
    utc_offset_hours: int
    uses: tuple[tuple[Model | Meter, int], ...]
    always_on: bool = False


Organisation = tuple[Team, ...]


def table(weights: list[tuple[T, int]]) -> tuple[T, ...]:
    """256 entries in proportion to the weights, to be picked from by eight random bits."""
    counts = split(TABLE, {i: weight for i, (_, weight) in enumerate(weights)}, otherwise=0)
    return tuple(item for i, (item, _) in enumerate(weights) for _ in range(counts[i]))


def zipf(count: int) -> list[int]:
    """Weights as 1, 1/2, 1/3 …: a few do most."""
    return [720_720 // rank for rank in range(1, count + 1)]


_LARGE = Model("openai", "gpt-4o", "query", 2500, 10_000, 5200, 700)
_SMALL = Model("openai", "gpt-4o-mini", "query", 150, 600, 6000, 500)
_SONNET = Model("anthropic", "claude-sonnet-4", "query", 3000, 15_000, 14_000, 900)
_HAIKU = Model("anthropic", "claude-3-5-haiku", "query", 800, 4000, 7000, 500)
_GEMINI = Model("google", "gemini-2.5-pro", "query", 1250, 10_000, 18_000, 800)
_LLAMA = Model("self-hosted", "llama-3.1-70b", "query", 590, 790, 5000, 450)
_EMBED = Model("openai", "text-embedding-3-large", "embedding", 130, 0, 12_000, 0)
_STORAGE = Meter("storage", "gigabyte_days", 8, 100_000, 900)
_COMPUTE = Meter("compute", "gpu_seconds", 4, 175_000, 400)

_CODE = ((_SONNET, 55), (_HAIKU, 20), (_LARGE, 12), (_COMPUTE, 8), (_EMBED, 5))
_CHAT = ((_SMALL, 60), (_LARGE, 22), (_HAIKU, 12), (_STORAGE, 3), (_EMBED, 3))
_READ = ((_GEMINI, 40), (_SONNET, 22), (_EMBED, 25), (_STORAGE, 8), (_COMPUTE, 5))
_OPEN = ((_LLAMA, 60), (_COMPUTE, 25), (_EMBED, 10), (_STORAGE, 5))
_SHARED = ((_EMBED, 35), (_STORAGE, 30), (_COMPUTE, 20), (_SMALL, 15))


def _users(team: str, count: int) -> tuple[str, ...]:
    return tuple(f"{team}-{number:02d}" for number in range(1, count + 1))


EXAMPLE: Organisation = (
    Team("platform", _users("platform", 14), ("coder", "reviewer", "triage"), 260, -8, _CODE),
    Team("support", _users("support", 22), ("helpdesk", "translator"), 210, 1, _CHAT),
    Team("search", _users("search", 9), ("indexer", "ranker"), 150, 1, _OPEN),
    Team("research", _users("research", 7), ("reader", "experimenter"), 110, 1, _READ),
    Team("growth", _users("growth", 8), ("copywriter", "campaigner"), 80, -5, _CHAT),
    Team("payments", _users("payments", 6), ("coder", "auditor"), 65, 5, _CODE),
    Team("finance", _users("finance", 5), ("forecaster",), 35, 1, _READ),
    Team("legal", _users("legal", 3), ("contract-reader",), 14, 1, _READ),
    Team(None, ("freelancer-01", "freelancer-02"), ("coder",), 12, 1, _CODE),
    Team(None, (), ("gateway", "vector-store", "backup"), 9, 0, _SHARED, always_on=True),
)
