"""Outbox: carries entries from a ledger to exporters, until each exporter has acknowledged each entry.

The ledger is the outbox. What is appended there is pending for every exporter at once, without a word to anybody: the
path of an entry into the ledger does not know that anything is delivered. An exporter is a cursor over the ledger's
sequence numbers; what it refuses becomes a letter, kept with the reason, and the cursor goes on.

    acknowledged            the cursor passes
    refused, for now        a letter that is tried again by its own schedule; it blocks nobody
    refused                 a parked or dead letter, kept until somebody replays it
    no answer               everything stays; the exporter is left alone for 1 s, 2 s, ... up to 5 minutes
    a person is needed      everything stays, and nothing is tried until somebody resumes or starts anew
    pending for seven days  parked

At least once on the wire: who dies between an acknowledgement and its note delivers again. Exporters give everything
names that do not change, so that it counts once all the same.
"""

from __future__ import annotations

from costtrace.outbox.outbox import Outbox
from costtrace.outbox.standing import Delivered, ExporterStatus, deliveries_of, status_of

__all__ = ["Delivered", "ExporterStatus", "Outbox", "deliveries_of", "status_of"]
