# syntax=docker/dockerfile:1
# The final image has an interpreter, the gateway and the libraries of both: no shell, no package manager, no root.
# Cargo.lock and .ci/constraints.txt decide every version.
#
#   docker build --tag sluice .
#   docker build --tag sluice --build-arg WHEEL=prebuilt .     # with the wheel of `make wheel`, nothing is compiled
#
# Any Debian-like base with Python 3.11 or newer and its venv will do for PYTHON_IMAGE, any image with a toolchain in
# /usr/local/cargo and /usr/local/rustup for RUST_IMAGE.
ARG PYTHON_IMAGE=python:3.13-slim-bookworm
ARG RUST_IMAGE=rust:1.95-slim-bookworm
ARG WHEEL=compile

FROM ${RUST_IMAGE} AS rust

FROM ${PYTHON_IMAGE} AS wheel
ARG WHEEL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN test "$WHEEL" = prebuilt || command -v cc >/dev/null || { apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*; }
COPY .ci/constraints.txt .ci/constraints.txt
RUN --mount=type=cache,target=/root/.cache/pip \
    test "$WHEEL" = prebuilt || { python3 -m venv /opt/build \
    && grep '^maturin==' .ci/constraints.txt > /tmp/requirements.txt \
    && /opt/build/bin/pip install --requirement /tmp/requirements.txt; }
# The licence is there in any case: a pattern alone has to match something.
COPY pyproject.toml Cargo.toml Cargo.lock README.md LICENSE dist/*.whl ./
COPY _native _native
COPY gateway gateway
# The toolchain of the image is the one that is wanted, whatever rust-toolchain.toml says for the desk.
ENV PATH=/usr/local/cargo/bin:/opt/build/bin:$PATH \
    RUSTUP_HOME=/usr/local/rustup \
    RUSTUP_TOOLCHAIN=1.95.0 \
    CARGO_HOME=/var/cache/cargo
RUN --mount=type=bind,from=rust,source=/usr/local/cargo,target=/usr/local/cargo \
    --mount=type=bind,from=rust,source=/usr/local/rustup,target=/usr/local/rustup \
    --mount=type=cache,target=/var/cache/cargo \
    --mount=type=cache,target=/src/target \
    mkdir /wheels; if test "$WHEEL" = prebuilt; then mv *.whl /wheels/; \
    else maturin build --release --locked --out /wheels --interpreter python3; fi

FROM ${PYTHON_IMAGE} AS root
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
COPY .ci/constraints.txt deploy/image/root.py /build/
COPY --from=wheel /wheels /wheels
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv /opt/sluice \
    && /opt/sluice/bin/pip install --constraint /build/constraints.txt "$(ls /wheels/*.whl)[kube]" \
    && /opt/sluice/bin/pip uninstall --yes pip setuptools \
    && python3 /build/root.py /opt/sluice /root-of-image

FROM scratch
COPY --from=root /root-of-image /
LABEL org.opencontainers.image.title="sluice" \
      org.opencontainers.image.description="API gateway for getambassador.io and Ingress objects" \
      org.opencontainers.image.licenses="Apache-2.0"
# Probes and scrapers come from outside of the container, so the admin port is not on loopback here.
ENV PATH=/opt/sluice/bin \
    LANG=C.UTF-8 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    AMBASSADOR_HEALTHCHECK_BIND_ADDRESS=0.0.0.0
USER 65532:65532
WORKDIR /
# An image in which something is missing is not worth having.
RUN ["/opt/sluice/bin/sluice", "version"]
# 8080 and 8443 carry traffic, 8877 answers probes and scrapers; no port here needs a privilege.
EXPOSE 8080 8443 8443/udp 8877
STOPSIGNAL SIGTERM
ENTRYPOINT ["/opt/sluice/bin/sluice"]
# From Kubernetes. For a folder of manifests: run /etc/sluice
CMD ["run", "--drain-grace", "10"]
