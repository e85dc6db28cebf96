"""The floor of HTTP: a bare FastAPI route that returns a dict."""

import sys

import uvicorn
from fastapi import FastAPI

app = FastAPI()


@app.get("/", response_model=None)
async def bare() -> dict[str, str]:
    return {"status": "ok"}


if __name__ == "__main__":
    uvicorn.run(
        app,
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
