"""Invoices as people get them: one view of each, and the formats that it is rendered to.

Owns: what a document says and in which order (`viewing`), how numbers, dates and foreign texts are
shown, the templates, the fonts. A format is one file and one line in `formats.FORMATS`.

Does not own: where the facts come from (`reports.document`), the settings, files and streams, the
wire form itself (`invoicing.document`).

Invariants: the same facts give the same bytes, on any machine and at any time. No text from outside
is ever markup, script, formula or direction of what stands beside it. Lines sum to their groups,
groups to the subtotal, subtotal and taxes to the total, all of it shown.
"""
