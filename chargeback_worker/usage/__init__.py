"""Usage events: what arrives, read exactly, and the totals that all later steps see.

Owns: the formats of events; what an event's identity, content and billing day are; why an event
is refused; the three digests, which are final: stored rows hold them for ever.

Does not own: whether an event was seen before, which billing period it goes to, where it is kept
(`store`, `pipeline`), or who pays for it (`allocation`).

Invariants:
- Pure: no input or output, no clock; `now_us` is an argument.
- Reading never raises for what is in an event. It ends in a `UsageEvent` or a `RefusedEvent`, in
  time bounded by `event_bytes_max`.
- No float: a number is read from its decimal text.
- The envelope, the order of keys and white space change neither identity nor content.
- No text that is kept holds NUL or a lone surrogate.
"""
