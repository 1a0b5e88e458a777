"""What a poll does not tell: that the broker is away, that the group never answers, that the client
is stuck with messages it does not give."""

import time

from chargeback_worker.broker import Consumer, TopicPartition
from chargeback_worker.broker.errors import ConsumerBroken
from chargeback_worker.errors import Unavailable
from chargeback_worker.worker.positions import Positions

# A broker that is away is met with silence: after so long without a message it is asked.
_SILENCE_S = 10.0
# Longer than the session of a member that was killed lasts, for which the group waits.
_JOIN_S = 30.0


class Silence:
    """Watches the polls of one consumer."""

    def __init__(self, consumer: Consumer, positions: Positions, topic: str) -> None:
        self._consumer = consumer
        self._positions = positions
        self._topic = topic
        self._heard_s = time.monotonic()
        self._joined_s = time.monotonic()
        self._away: str | None = None
        # Where partitions stood that had messages and gave none, when last looked at.
        self._kept_back: dict[TopicPartition, int] = {}

    def polled(self, heard: bool) -> None:
        """A poll has ended, with messages or without. Raises ConsumerBroken."""
        self._await_join()
        self._listen(heard)

    def trouble(self) -> str | None:
        """What reading waits for, if it does."""
        if self._away is not None:
            return self._away
        positions = self._positions
        if not positions.joined:
            return "its place in the group"
        if positions.waiting:
            return "the positions of its partitions"
        if positions.stopped:
            return f"a person: stopped {', '.join(map(str, sorted(positions.stopped)))}"
        return None

    def _await_join(self) -> None:
        """A client whose join of the group went astray polls on for ever without a word."""
        now_s = time.monotonic()
        if self._positions.joined:
            self._joined_s = now_s
        elif now_s - self._joined_s > _JOIN_S:
            raise ConsumerBroken(f"the group has not said what is ours for {_JOIN_S:.0f} s")

    def _listen(self, heard: bool) -> None:
        """When nothing comes, find out why."""
        if heard:
            self._heard_s, self._away = time.monotonic(), None
            self._kept_back = {}
            return
        if time.monotonic() - self._heard_s <= _SILENCE_S:
            return
        self._heard_s = time.monotonic()
        held = self._positions.held
        asked = list(held) or [TopicPartition(self._topic, 0)]
        try:
            ends = self._consumer.end_offsets(asked)
        except ConsumerBroken:
            raise
        except Unavailable as error:
            self._away, self._kept_back = str(error), {}
            return
        self._away = None
        behind = {p: one.expected for p, one in held.items() if ends.get(p, 0) > one.expected}
        stuck = sorted(str(p) for p, at in behind.items() if self._kept_back.get(p) == at)
        if stuck:
            raise ConsumerBroken(f"it does not give the messages there are in {', '.join(stuck)}")
        self._kept_back = behind
