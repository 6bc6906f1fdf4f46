# The operator's image: meshupgrade, the Helm that it drives, and an init. Build it in the project's root:
#   docker build -t meshupgrade:0.1.0 .
# Both base images can be replaced, by a mirror's or by a digest; BASE_IMAGE must have Python 3.11 or newer as python3,
# with venv, and Debian's apt.
ARG BASE_IMAGE=python:3.11-slim-bookworm
ARG GO_IMAGE=golang:1.26-bookworm

# Helm at the version that the tests run with, since both are built from the same go.mod; go.sum holds the checksum of
# every module.
FROM ${GO_IMAGE} AS helm
WORKDIR /src
COPY tests/cluster/go/helm/go.mod tests/cluster/go/helm/go.sum ./
RUN go mod download
# Static, so that it runs on any base. Built as a dependency it would not know its version, hence the -X flag.
RUN CGO_ENABLED=0 go build -mod=readonly -trimpath -o /out/helm \
    -ldflags "-s -w -X helm.sh/helm/v4/internal/version.version=$(go list -m -f '{{.Version}}' helm.sh/helm/v4)" \
    helm.sh/helm/v4/cmd/helm \
 && /out/helm version --template '{{.Version}}'

# The wheel, built in a virtual environment of its own: hatchling is not for the image.
FROM ${BASE_IMAGE} AS wheel
WORKDIR /src
RUN python3 -m venv /build
COPY requirements-dev.lock ./
# Of the development lock just hatchling and what it needs; with one missing, --require-hashes fails.
RUN awk '/^[a-z0-9]/ { keep = /^(hatchling|packaging|pathspec|pluggy|tomlkit|trove-classifiers)==/ } keep' \
    requirements-dev.lock > build.lock \
 && /build/bin/pip install --no-cache-dir --require-hashes -r build.lock
COPY pyproject.toml README.md LICENSE ./
COPY operator operator
RUN /build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /out .

# The virtual environment as it goes into the image. Wheels only: no compiler is there, and none is to run.
FROM ${BASE_IMAGE} AS runtime
RUN python3 -m venv /opt/meshupgrade
COPY requirements.lock ./
RUN /opt/meshupgrade/bin/pip install --no-cache-dir --only-binary=:all: --require-hashes -r requirements.lock
COPY --from=wheel /out/*.whl ./
RUN /opt/meshupgrade/bin/pip install --no-cache-dir --no-deps ./*.whl \
 && /opt/meshupgrade/bin/python -m pip uninstall --yes --quiet setuptools pip

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="meshupgrade" \
      org.opencontainers.image.description="Brings a service mesh to the version its admins declare." \
      org.opencontainers.image.licenses="Apache-2.0"
# tini reaps: a Helm plugin or a shell whose parent was killed becomes a child of process 1, and Python would leave it a
# zombie. /bin/sh, which Debian has, is the gate behind which the operator starts Helm.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates tini \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --system --gid 10001 meshupgrade \
 && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /work --shell /usr/sbin/nologin meshupgrade \
 && install -d -o 10001 -g 10001 /work
COPY --from=helm /out/helm /usr/local/bin/helm
COPY --from=runtime /opt/meshupgrade /opt/meshupgrade
ENV PATH=/opt/meshupgrade/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
# By number: "runAsNonRoot" cannot be checked for a name.
USER 10001:10001
WORKDIR /work
ENTRYPOINT ["tini", "--", "meshupgrade"]
CMD ["run", "--log-format=json", "--work-dir=/work"]
