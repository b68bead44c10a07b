// CoreDNS with the few plugins that a cluster of one node needs. With all of them it would link the kits of every cloud.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/hosts"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
)

func main() {
	// A question goes through them in this order.
	dnsserver.Directives = []string{"bind", "ready", "errors", "hosts", "kubernetes", "forward"}
	coremain.Run()
}
