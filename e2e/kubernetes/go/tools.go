//go:build tools

// Package tools keeps the modules that kind is built from in go.mod.
package tools

import _ "sigs.k8s.io/kind"
