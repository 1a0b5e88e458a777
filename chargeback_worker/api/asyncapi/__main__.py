"""`make asyncapi`: the document, on standard output."""

import sys

from chargeback_worker.api.asyncapi import document

sys.stdout.buffer.write(document())
