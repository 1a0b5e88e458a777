"""Why a line says what it says: from its cents down to the usage ids, each step adding up.

Owns: settling a month again as a close did it, the documents of the steps, and their pages. Does
not own: what allocation or settlement mean (`allocation`, `invoicing`), the tree on a terminal.

Invariants: whole cents and exact cost of a line differ by its rounding alone; the exact cost is
what is allocated less what was booked before; that is the sum over pools; a pool's share is of its
whole; a whole is the sum of its usage totals, and a total that of its usage records. What is not
shown, and what retention has dropped, is counted and summed. Where a month gives something
else today than was booked, the difference is said, never left out.
"""
