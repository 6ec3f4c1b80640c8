# syntax=docker/dockerfile:1
# Two stages: one compiles the wheel and installs it with its locked dependencies, the other has no compiler, no package
# manager's cache and no root. Cargo.lock and .ci/constraints.txt decide every version.
ARG PYTHON=3.13

FROM rust:1.95-slim-bookworm AS rust

FROM python:${PYTHON}-slim-bookworm AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
COPY --from=rust /usr/local/cargo /usr/local/cargo
COPY --from=rust /usr/local/rustup /usr/local/rustup
# The toolchain of this image is the one that is wanted, whatever rust-toolchain.toml says for the desk.
ENV PATH=/usr/local/cargo/bin:$PATH \
    CARGO_HOME=/usr/local/cargo \
    RUSTUP_HOME=/usr/local/rustup \
    RUSTUP_TOOLCHAIN=1.95.0 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY .ci/constraints.txt .ci/constraints.txt
RUN grep '^maturin==' .ci/constraints.txt > /tmp/build-requirements.txt \
    && pip install --requirement /tmp/build-requirements.txt
COPY pyproject.toml Cargo.toml Cargo.lock README.md LICENSE ./
COPY _native _native
COPY gateway gateway
RUN maturin build --release --locked --out /wheels --interpreter python
RUN python -m venv /opt/sluice \
    && /opt/sluice/bin/pip install --constraint .ci/constraints.txt "$(ls /wheels/*.whl)[kube]" \
    && /opt/sluice/bin/pip uninstall --yes pip \
    && /opt/sluice/bin/python -m compileall -q /opt/sluice/lib

FROM python:${PYTHON}-slim-bookworm
RUN useradd --system --uid 65532 --user-group --no-create-home --shell /usr/sbin/nologin sluice
COPY --from=build /opt/sluice /opt/sluice
ENV PATH=/opt/sluice/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
WORKDIR /
# Manifests are mounted at /etc/sluice. 8080 and 8443 carry traffic, 8877 answers probes and scrapers; no port here needs
# a privilege.
EXPOSE 8080 8443 8443/udp 8877
STOPSIGNAL SIGTERM
ENTRYPOINT ["sluice"]
CMD ["run", "/etc/sluice", "--admin-address", "0.0.0.0:8877"]
