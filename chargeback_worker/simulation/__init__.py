"""Synthetic usage that looks like a real organisation's, with the truth about every event.

Owns: an example organisation (teams in three time zones, heavy and light ones, models of different
prices, machines that nobody owns), the month it has, what goes wrong with its events, and what
must become of each of them, computed apart in integers before anything reads an event.

Does not own: sending, storing or judging events; nothing here reads what the worker reads with.

Invariants:
* The same month, number, seed and anomalies give the same bytes on every platform and Python:
  only `random()` and `getrandbits()` of `random.Random`, and + - * / of floats, take part.
* Costs are floats as CostTracker computes them, noise included; the truth is exact.
* Events come in the order of their times (late ones, duplicates and refunds when they arrive), in
  constant memory: what is repeated, corrected or refunded is among the last thousand.
* Events of one identity have one key, so that a topic keeps their order.
"""

from chargeback_worker.simulation.anomalies import Anomalies, UnknownAnomaly
from chargeback_worker.simulation.organisation import EXAMPLE, Meter, Model, Organisation, Team
from chargeback_worker.simulation.stream import simulate
from chargeback_worker.simulation.truth import Expected, Outcome, Simulated, Truth

__all__ = [
    "EXAMPLE",
    "Anomalies",
    "Expected",
    "Meter",
    "Model",
    "Organisation",
    "Outcome",
    "Simulated",
    "Team",
    "Truth",
    "UnknownAnomaly",
    "simulate",
]
