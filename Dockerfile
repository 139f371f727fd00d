# fz in a container: docs/containers.md says how it is run. The steps are those of install.sh.
FROM debian:bookworm-slim AS build
ARG DENO_VERSION=2.9.6
RUN apt-get update \
  && apt-get install --yes --no-install-recommends npm ca-certificates \
  && npm install --prefix /usr/local/lib/fz --no-audit --no-fund --no-update-notifier "deno@$DENO_VERSION"
COPY deno.json deno.lock main.ts /opt/fz/
COPY cli /opt/fz/cli
COPY ffi /opt/fz/ffi
COPY io /opt/fz/io
COPY lib /opt/fz/lib
RUN DENO_DIR=/usr/local/lib/fz/cache /usr/local/lib/fz/node_modules/.bin/deno cache --frozen --config /opt/fz/deno.json /opt/fz/main.ts \
  && cp "$(readlink -f /usr/local/lib/fz/node_modules/.bin/deno)" /usr/local/lib/fz/deno \
  && /usr/local/lib/fz/deno --version \
  && rm -rf /usr/local/lib/fz/node_modules \
  && chmod -R a+rX /usr/local/lib/fz /opt/fz

FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="fz" \
  org.opencontainers.image.description="Client for Firezone: zero-trust network access from the terminal" \
  org.opencontainers.image.licenses="Apache-2.0"
RUN apt-get update \
  && apt-get install --yes --no-install-recommends iproute2 nftables curl ca-certificates libgcrypt20 libcap2-bin \
  && rm -rf /var/lib/apt/lists/*
COPY --from=build /usr/local/lib/fz /usr/local/lib/fz
COPY --from=build /opt/fz /opt/fz
COPY docker/fz /usr/local/bin/fz
# Docker gives capabilities to root alone: for --user fz they come from the file of a copy that only the user's group
# may run. It cannot be run at all where the container has no CAP_NET_ADMIN, so the plain one stays beside it.
# Root, who may have lost the right to write what is others', and the user keep their state in the same folder.
RUN useradd --system --home-dir /var/lib/fz --no-create-home --uid 990 --user-group fz \
  && install -d -o root -g fz -m 0770 /var/lib/fz \
  && install -d -o fz -g fz -m 0700 /run/fz-user \
  && install -d -o root -g fz -m 0750 /usr/local/lib/fz/capable \
  && install -o root -g fz -m 0750 /usr/local/lib/fz/deno /usr/local/lib/fz/capable/deno \
  && setcap cap_net_admin+ep /usr/local/lib/fz/capable/deno \
  && chmod 755 /usr/local/bin/fz
VOLUME ["/var/lib/fz"]
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 CMD ["fz", "status", "--check", "live"]
ENTRYPOINT ["fz"]
CMD ["run"]
