"""Serves moto's DynamoDB, one request at a time, and prints the port it listens on.

With threads its transactions would not be atomic.
"""

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

if __name__ == "__main__":
    server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=False)
    print(server.server_port, flush=True)  # noqa: T201  # the parent process reads it
    server.serve_forever()
