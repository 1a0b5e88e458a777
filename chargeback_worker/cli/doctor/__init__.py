"""`chargeback doctor`: what is there, what is missing, and what to do about it.

Owns: what is looked at, by theme (`machine`, `clocks`, `database`, `broker`, `ingest`, `books`,
`at_work`, `grain`); each check is a function that yields findings.

Does not own: mending. It changes nothing.

Invariants:
* Whatever a check finds wrong has a name in `Fault`, and says what to do; a test turns each of them
  red.
* A part that does not answer is told once, and what rests on it is left out.
"""

from chargeback_worker.cli.doctor.command import doctor

__all__ = ["doctor"]
