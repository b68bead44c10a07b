# One image, two programs: the data plane by default, the operator with the argument operator/main.ts.
# The root file system may be read-only: the data plane writes to /data alone, the operator nowhere.
ARG BASE=node:26-slim

FROM ${BASE} AS modules
WORKDIR /coffer
COPY package.json package-lock.json .npmrc ./
# The npm package "node" brings Node to machines that have another; its install script is left out, the image has its own.
RUN npm ci --omit=dev --ignore-scripts

FROM ${BASE}
WORKDIR /coffer
COPY --from=modules /coffer/node_modules ./node_modules
COPY . .
# One arena: with one for each thread, freed memory stays with threads that do not need it.
ENV NODE_ENV=production \
    MALLOC_ARENA_MAX=1 \
    COFFER_LISTEN=0.0.0.0 \
    COFFER_CONFIG=/etc/coffer/config.json \
    COFFER_DATA_DIR=/data
# The folder has its owner in the image, so that a volume that is mounted there begins with it.
RUN mkdir /data && chown 10001:10001 /data
USER 10001:10001
EXPOSE 9000 8080 9090
VOLUME /data
# The first four keep buffers of bodies out of V8's garbage collection, and memory small. NODE_OPTIONS refuses them.
ENTRYPOINT ["node", "--external-memory-accounted-in-global-limit", "--initial-old-space-size=48", "--max-old-space-size=256", "--max-semi-space-size=16", "--disable-warning=ExperimentalWarning"]
CMD ["dataplane/main.ts"]
