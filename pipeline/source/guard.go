package source

import (
	"fmt"
	"net/netip"
	"syscall"
)

// addressError is a connection refused by the guard.
type addressError struct {
	addr netip.Addr
	why  string
}

func (e *addressError) Error() string {
	return fmt.Sprintf("the address %s is %s, and may not be asked", e.addr, e.why)
}

// guard decides which addresses HTTP may reach.
type guard struct{ allowPrivate bool }

// control is a dialer's hook: it sees the address that a name resolved to, right
// before each connection is made.
func (g guard) control(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("the address %q can not be read: %w", address, err)
	}
	return g.check(ap.Addr())
}

// check refuses what is not a public address. IPv6 is closed but for global unicast
// (2000::/3), from which the ranges below are taken out in turn.
func (g guard) check(a netip.Addr) error {
	for _, r := range specialRanges {
		if r.prefix.Contains(a.WithZone("")) {
			if r.private && g.allowPrivate {
				return nil
			}
			return &addressError{a, r.why}
		}
	}
	if a.Is4() {
		return nil
	}
	if b := a.As16(); b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe {
		return &addressError{a, "an embedded IPv4 address (ISATAP)"}
	}
	if !globalUnicast.Contains(a) {
		return &addressError{a, "outside the public IPv6 space"}
	}
	return nil
}

//nolint:gochecknoglobals // a constant
var globalUnicast = netip.MustParsePrefix("2000::/3")

type specialRange struct {
	prefix  netip.Prefix
	why     string
	private bool // allowed by allow_private
}

// specialRanges follow the IANA special-purpose registries (RFC 6890 and its
// updates), and the metadata address of Azure, which lies in public space.
//
//nolint:gochecknoglobals // a constant table
var specialRanges = []specialRange{
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback", true},
	{netip.MustParsePrefix("10.0.0.0/8"), "private", true},
	{netip.MustParsePrefix("172.16.0.0/12"), "private", true},
	{netip.MustParsePrefix("192.168.0.0/16"), "private", true},
	{netip.MustParsePrefix("100.64.0.0/10"), "shared (carrier-grade NAT)", true},
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified", false},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local", false},
	{netip.MustParsePrefix("168.63.129.16/32"), "a cloud's metadata service", false},
	{netip.MustParsePrefix("192.0.0.0/24"), "reserved for protocols", false},
	{netip.MustParsePrefix("192.0.2.0/24"), "for documentation", false},
	{netip.MustParsePrefix("192.88.99.0/24"), "a 6to4 relay", false},
	{netip.MustParsePrefix("198.18.0.0/15"), "for benchmarks", false},
	{netip.MustParsePrefix("198.51.100.0/24"), "for documentation", false},
	{netip.MustParsePrefix("203.0.113.0/24"), "for documentation", false},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast", false},
	{netip.MustParsePrefix("255.255.255.255/32"), "broadcast", false},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved", false},

	{netip.MustParsePrefix("::1/128"), "loopback", true},
	{netip.MustParsePrefix("fc00::/7"), "unique local", true},
	{netip.MustParsePrefix("::/128"), "unspecified", false},
	{netip.MustParsePrefix("::ffff:0:0/96"), "an embedded IPv4 address (mapped)", false},
	{netip.MustParsePrefix("::/96"), "an embedded IPv4 address (compatible)", false},
	{netip.MustParsePrefix("64:ff9b::/96"), "an embedded IPv4 address (NAT64)", false},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "an embedded IPv4 address (NAT64, local)", false},
	{netip.MustParsePrefix("2001::/32"), "an embedded IPv4 address (Teredo)", false},
	{netip.MustParsePrefix("2001::/23"), "reserved for protocols", false},
	{netip.MustParsePrefix("2001:db8::/32"), "for documentation", false},
	{netip.MustParsePrefix("2002::/16"), "an embedded IPv4 address (6to4)", false},
	{netip.MustParsePrefix("3fff::/20"), "for documentation", false},
	{netip.MustParsePrefix("fe80::/10"), "link-local", false},
	{netip.MustParsePrefix("fec0::/10"), "site-local", false},
	{netip.MustParsePrefix("ff00::/8"), "multicast", false},
}
