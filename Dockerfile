# Built by `make docker`, which passes the Go version of go.mod; without it there is no such base image.
ARG GO_VERSION=missing--build-with-make-docker

FROM golang:${GO_VERSION} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG LDFLAGS="-s -w"
RUN CGO_ENABLED=0 go build -trimpath -tags grpcnotrace -buildvcs=false -ldflags "${LDFLAGS}" -o /cloakroom ./cmd/cloakroom

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /cloakroom /cloakroom
# A container has its own loopback: listen where its neighbours and the probes reach it.
ENV CLOAKROOM_HTTP_ADDR=:8080 CLOAKROOM_ADMIN_ADDR=:9090
EXPOSE 8080 9090
USER 65532:65532
# For Docker and Podman; Kubernetes has its own probes. There is no curl here: the program asks itself.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["/cloakroom", "health"]
ENTRYPOINT ["/cloakroom"]
CMD ["serve"]
