"""Draws single uses of a team: who, with which agent, of what, how much, and what it cost.

No logarithm, power or root takes part: their last digit differs between platforms.
"""

from collections.abc import Sequence
from random import Random

from chargeback_worker.money import NANO
from chargeback_worker.simulation.organisation import Meter, Model, Team, table, zipf
from chargeback_worker.simulation.use import Envelope, Use

_ENVELOPES = table(
    [
        (Envelope.BARE, 80),
        (Envelope.STRUCTURED, 9),
        (Envelope.BINARY, 9),
        (Envelope.NAMING, 2),
    ]
)
# One use in twenty of a team is a machine's, without a user.
_MACHINE_SHARE = 20


class Drawer:
    """The uses of one team, drawn with the stream's random numbers."""

    def __init__(self, team: Team, random: Random) -> None:
        self._team_id = team.team_id
        self._random = random
        self._agents = team.agents
        self._things: Sequence[Model | Meter] = table(list(team.uses))
        weights = zipf(len(team.users))
        users: list[tuple[str | None, int]] = list(zip(team.users, weights, strict=True))
        if team.team_id is not None or not users:
            users.append((None, max(sum(weights) // (_MACHINE_SHARE - 1), 1)))
        self._users = table(users)

    def draw(self, time: str, late: bool) -> Use:
        """A use at a time given as text."""
        bits = self._random.getrandbits(160)
        user = self._users[bits & 255]
        thing = self._things[bits >> 8 & 255]
        agent = self._agents[(bits >> 16 & 255) * len(self._agents) >> 8]
        name = f"{bits >> 32:032x}"
        usage_id = f"{name[:8]}-{name[8:12]}-{name[12:16]}-{name[16:20]}-{name[20:]}"
        owner = (usage_id, time, self._team_id, user, agent)
        envelope = _ENVELOPES[bits >> 24 & 255]
        if isinstance(thing, Model):
            return self._call(owner, thing, envelope, late)
        return self._metered(owner, thing, envelope, late)

    def _call(
        self,
        owner: tuple[str, str, str | None, str | None, str],
        model: Model,
        envelope: Envelope,
        late: bool,
    ) -> Use:
        prompt = self._size(model.prompt_scale)
        completion = self._size(model.completion_scale) if model.completion_scale else 0
        # As CostTracker: prices by the thousand tokens, in binary floats.
        cost = prompt / 1000 * (model.prompt_nano / 1_000_000) + completion / 1000 * (
            model.completion_nano / 1_000_000
        )
        total = prompt + completion
        described = (
            f'"provider": "{model.provider}", "model": "{model.name}", '
            f'"prompt_tokens": {prompt}, "completion_tokens": {completion}, '
            f'"total_tokens": {total}'
        )
        exact = prompt * model.prompt_nano + completion * model.completion_nano
        return Use(
            *owner, model.operation, described, total, cost, total * NANO, exact, "", envelope, late
        )

    def _metered(
        self,
        owner: tuple[str, str, str | None, str | None, str],
        meter: Meter,
        envelope: Envelope,
        late: bool,
    ) -> Use:
        parts = self._size(meter.scale)
        quantity = parts / meter.parts
        cost = quantity * (meter.part_nano * meter.parts / NANO)
        return Use(
            *owner,
            meter.resource_type,
            None,
            quantity,
            cost,
            parts * NANO // meter.parts,
            parts * meter.part_nano,
            f'"unit": "{meter.unit}"',
            envelope,
            late,
        )

    def _size(self, scale: int) -> int:
        """Half of them are below half of the scale, one in a hundred is above twelve times it."""
        u = self._random.random()
        return 1 + scale // 20 + int(scale * u * u / (1.07 - u))
