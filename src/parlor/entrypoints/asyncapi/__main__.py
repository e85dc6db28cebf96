"""`python -m parlor.entrypoints.asyncapi > docs/asyncapi.json` writes the page, as it is where nothing is set."""

from parlor.config import Settings
from parlor.entrypoints.asyncapi.document import published, written

if __name__ == "__main__":
    print(written(published(Settings.model_construct())))  # noqa: T201 - its purpose
