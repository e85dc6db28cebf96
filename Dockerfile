# Stages: `test` runs the whole suite, the last one is what is deployed.
#   docker build -t parlor .
#   docker build --target test -t parlor-test . && docker run --rm parlor-test

FROM python:3.11-slim-bookworm AS base
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1


FROM base AS test
RUN apt-get update \
    && apt-get install -y --no-install-recommends curl git make rabbitmq-server \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /parlor
COPY . .
RUN make .venv/installed-dev
CMD ["make", "test"]


FROM base AS build
WORKDIR /parlor
RUN python -m venv /opt/venv
COPY pyproject.toml constraints.txt ./
# What Parlor stands on makes a layer of its own: it changes less often than Parlor does.
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
    > requirements.txt && pip install -c constraints.txt -r requirements.txt
COPY README.md LICENSE alembic.ini ./
COPY migrations migrations
COPY src src
RUN pip install --no-deps .


FROM base AS service
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/parlor parlor
WORKDIR /app
COPY --from=build /opt/venv /opt/venv
COPY alembic.ini ./
COPY migrations migrations
COPY scripts/entrypoint.sh scripts/forward.py scripts/healthy.py scripts/
ENV HOST=0.0.0.0 PORT=8000 PARLOR_DATA_DIR=/var/lib/parlor
USER parlor
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=4s --start-period=60s --retries=5 CMD ["python", "scripts/healthy.py"]
ENTRYPOINT ["/app/scripts/entrypoint.sh", "parlor"]
CMD ["serve"]
