// Package gateways tests the files in deploy/ for auth gateways: nginx, HAProxy and Caddy run as real processes between a
// client and an application in PHP, and doubles make the documented requests of Traefik, Envoy, Oathkeeper and APISIX. Each asks a
// real cloakroom process with a real Redis. What comes out is the table in docs/gateways.md.
// Other tests try websockets, forged headers in every spelling, two credentials, policies in paths and queries, slow uploads,
// restarts, a Redis that hangs, logouts by another process, and the recipes of docs/gateway-recipes.md. And there are the files before ZITADEL, with a double of that.
//
// It has tests only.
package gateways
