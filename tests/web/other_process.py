"""Another process of the same application: ``serve LEDGER TOKEN`` takes webhooks, ``settle LEDGER SID TOKEN URL`` asks.

Spans go where OpenTelemetry's own variables say.
"""

from __future__ import annotations

import socket
import sys
import threading

import uvicorn

import costtrace
from costtrace.telemetry import setup_tracing
from costtrace.twilio import Settlement, make_client
from costtrace.twilio.signature import Verifier
from costtrace.web import SmsWebhooks, create_app


def serve(ledger: str, token: str) -> None:
    recorder = costtrace.Recorder(costtrace.open_ledger(ledger))
    app = create_app(recorder, SmsWebhooks(recorder, Verifier(tokens=token)))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        _say(f"http://127.0.0.1:{listener.getsockname()[1]}")
        sys.stdin.read()
        server.should_exit = True
        thread.join()
    recorder.close()


def settle(ledger: str, sid: str, token: str, url: str) -> None:
    store = costtrace.open_ledger(ledger)
    client = make_client(sid, token, base_url=url)
    _say(str(Settlement(client, store).run_once().priced))
    store.close()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    provider = setup_tracing(service_name=sys.argv[1])
    (serve if sys.argv[1] == "serve" else settle)(*sys.argv[2:])
    provider.shutdown()
