"""`app`, for `uvicorn parlor.main:app --reload`."""

from parlor.config import Settings
from parlor.container import make_container
from parlor.entrypoints.http.app import make_app

app = make_app(make_container(Settings()))
