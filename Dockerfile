# One image for the three modes. The registrar and the proxy run as the unprivileged user below; the exporter's manifest
# overrides the user, because it reads other processes' /proc.

FROM node:24-bookworm-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends clang libbpf-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY package.json package-lock.json ./
# The image brings the Node.js that the package "node" would install for a machine with an older one.
RUN npm ci --ignore-scripts
COPY . .
RUN PATH="$PWD/node_modules/.bin:$PATH" node scripts/build.ts && npm prune --omit=dev --ignore-scripts

FROM node:24-bookworm-slim
# The exporter loads its eBPF programs with libbpf; without it the exporter reads /proc.
RUN apt-get update && apt-get install -y --no-install-recommends libbpf1 && rm -rf /var/lib/apt/lists/*
WORKDIR /app
ENV NODE_ENV=production
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/proto ./proto
COPY --from=build /app/dist ./dist
USER 65532:65532
# 8080 proxy, 8081 ops, 28880 exporter
EXPOSE 8080 8081 28880
ENTRYPOINT ["/app/dist/main.js"]
