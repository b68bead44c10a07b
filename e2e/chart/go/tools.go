//go:build tools

// Package tools keeps the modules that Helm is built from in go.mod.
package tools

import _ "helm.sh/helm/v3/cmd/helm"
