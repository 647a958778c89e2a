FROM debian:bookworm-slim
LABEL dev.twinpatch.role=base
RUN apt-get update \
  && apt-get install -y --no-install-recommends git python3 ca-certificates \
  && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
