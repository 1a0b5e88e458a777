"""The command line: one file a subject, the same documents as HTTP.

Owns: arguments, tables, progress, questions to the person at the keyboard, exit codes. Does not
own: what anything means, SQL, or what happens together: it asks `app`, steps and reports.

Invariants:
* Results go to stdout, all else to stderr; with `-o json` and `-o csv` stdout can be read by a
  machine, and `json` is what the HTTP endpoint of the same thing returns.
* `door` alone turns errors into exit codes: 0 ok, 1 our fault, 2 usage, 3 configuration, 4 not
  reachable, 5 data refused or mismatch, 130 interrupted.
* An error is told without a traceback, unless `--debug` asks for it.
* What came in events is shown with its control characters escaped.
"""


def main() -> None:
    """Run `chargeback` with the arguments of this process."""
    # Imported here, so that a part of this room can be imported without all commands.
    from chargeback_worker.cli.program import program

    program()
