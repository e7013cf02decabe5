# One image for the three modes: Node.js, libbpf, tcpdump, podsonar, and nothing else; no shell. The registrar and the proxy run as the
# unprivileged user below; the exporter's manifest overrides the user, because it reads other processes' /proc.

FROM node:24-bookworm-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends clang libbpf-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY package.json package-lock.json ./
# The image brings the Node.js that the package "node" would install for a machine with an older one.
RUN npm ci --ignore-scripts
COPY . .
RUN PATH="$PWD/node_modules/.bin:$PATH" node scripts/build.ts && node scripts/build-rootfs.ts /rootfs

FROM scratch
COPY --from=build /rootfs /
ENV PATH=/usr/bin NODE_ENV=production
USER 65532:65532
# 8080 proxy, 8081 registrar and the proxy's own, 28880 exporter
EXPOSE 8080 8081 28880
# For Docker; Kubernetes asks by the probes of its manifests. It starts a Node.js each time, so not often.
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --retries=3 CMD ["/usr/bin/podsonar", "healthcheck"]
ENTRYPOINT ["/usr/bin/podsonar"]
