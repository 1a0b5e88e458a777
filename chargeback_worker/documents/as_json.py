"""JSON: the wire form, byte for byte what the invoices topic and the API give."""

from chargeback_worker.documents.view import View
from chargeback_worker.invoicing.document import encode, invoice_document


def render(view: View) -> bytes:
    return encode(invoice_document(view.facts.invoice))
