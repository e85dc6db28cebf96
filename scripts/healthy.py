"""The image's health check: fails unless the API, or the worker's page, says that it is alive."""  # noqa: INP001 - a script

import os
from urllib.request import ProxyHandler, build_opener

port = os.environ.get("PARLOR_WORKER_PORT") or os.environ.get("PORT") or "8000"
build_opener(ProxyHandler({})).open(f"http://127.0.0.1:{port}/healthz", timeout=3)
