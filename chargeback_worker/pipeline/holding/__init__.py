"""Books from a backup beside topics that went on: what finds them, and what ends it, share this.

Owns: comparing the books with the topics that they read and write, and the hold that comes of it.
Does not own: any number; `resume` raises those, after it has read the whole topic back.

Invariants: the broker is asked first and the database afterwards, so that whatever another process
does meanwhile is in both; nothing is concluded from a broker that does not answer.
"""
