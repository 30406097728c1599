# The image of a release: docs/how-to/containers.md says how to run it, docs/development/release.md how it is built.
#
#   docker build -t counterbias .                                    # everything but torch
#   docker build -t counterbias --build-arg EXTRAS=h5ad,compare .    # without MultiQC
#
# Nothing is compiled when it runs, and nothing in it need be writable: `docker run --read-only --user 1234` works, and so do
# Apptainer, Nextflow (which calls bash and ps) and Snakemake.
ARG BASE=debian:trixie-slim

# -- the wheel, and the environment that it is installed in ----------------------------------------
FROM ${BASE} AS build
ENV DEBIAN_FRONTEND=noninteractive PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        binutils ca-certificates gcc libc6-dev python3 python3-dev python3-pip python3-venv \
    && rm -rf /var/lib/apt/lists/*
COPY CITATION.cff LICENSE README.md pyproject.toml /source/
COPY man /source/man
COPY src /source/src
COPY plugins /source/plugins
COPY multiqc_module /source/multiqc_module
COPY .ci/levels /usr/local/bin/levels
# Every CPU level is compiled: the image may run on another processor than the one that built it.
RUN COUNTERBIAS_LEVELS="$(levels)" python3 -m pip wheel --no-deps --wheel-dir /wheels /source
ARG EXTRAS=h5ad,multiqc,compare,bigwig
COPY .ci/slim-environment /usr/local/bin/slim-environment
RUN python3 -m venv --without-pip /opt/counterbias \
    && wheel="$(echo /wheels/*.whl)" \
    && python3 -m pip --python /opt/counterbias/bin/python install "${wheel}[${EXTRAS}]" \
    && slim-environment /opt/counterbias

# -- what is shipped -------------------------------------------------------------------------------
FROM ${BASE}
ARG VERSION=0.2.0
ARG REVISION=
LABEL org.opencontainers.image.title="Counterbias" \
      org.opencontainers.image.description="Read counting for RNA-seq with counts corrected for sequence-specific bias" \
      org.opencontainers.image.licenses="GPL-3.0-or-later" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# hadolint ignore=DL3008
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends procps python3 \
    && rm -rf /var/lib/apt/lists/* /var/log/* /var/cache/* /usr/share/doc/* \
    && mkdir /data
COPY --from=build /opt/counterbias /opt/counterbias
ENV PATH=/opt/counterbias/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    COUNTERBIAS_LOOPS=compiled
WORKDIR /data
USER 1000:1000
# No ENTRYPOINT: workflow managers run `bash -c …` in the image.
CMD ["counterbias", "--help"]
