package source

import (
	"fmt"
	"iter"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// innerAddresses has one of each class that may not be asked.
//
//nolint:gochecknoglobals // a constant table
var innerAddresses = []string{
	"127.0.0.1", "127.8.8.8", "169.254.169.254", "10.0.0.1", "172.16.5.4", "192.168.1.1", "100.100.100.200",
	"0.0.0.0", "198.18.0.1", "192.0.0.192", "192.0.2.1", "203.0.113.9", "168.63.129.16", "240.0.0.1", "255.255.255.255", "224.0.0.1",
}

// innerIPv6 likewise.
//
//nolint:gochecknoglobals // a constant table
var innerIPv6 = []string{
	"[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[fc00::1]", "[fd00:ec2::254]", "[fe80::1%25lo]", "[fe80::1]", "[fec0::1]", "[ff02::1%25lo]",
	"[2001:db8::1]", "[3fff::1]", "[100::1]", "[4000::1]", "[2001:2::1]", "[::1%25lo]", "[::FFFF:7F00:1]",
}

// nameTable is what names of the battery resolve to.
//
//nolint:gochecknoglobals // a constant table
var nameTable = map[string][]string{
	"loop.example": {"127.0.0.1"}, "loop6.example": {"::1"}, "meta.example": {"169.254.169.254"}, "ten.example": {"10.0.0.1"},
	"both.example": {"127.0.0.1", "::1"}, "mixed.example": {"93.184.216.34", "10.0.0.1"}, "mixed6.example": {"93.184.216.34", "fd00::1"},
	"mixed46.example": {"2606:2800:220:1::1", "192.168.1.1"}, "nat64.example": {"64:ff9b::7f00:1"}, "sixtofour.example": {"2002:7f00:1::1"},
	"many.example": {"10.0.0.1", "10.0.0.2", "10.0.0.3"}, "xn--lop-sna.example": {"127.0.0.1"}, "a_b.example": {"127.0.0.1"},
	"127.0.0.1.nip.example": {"127.0.0.1"}, "metadata.google.internal": {"169.254.169.254"}, "localtest": {"127.0.0.1"},
}

// aton reads a host as inet_aton does: one to four numbers, decimal, octal or
// hexadecimal. nil is what it does not read.
func aton(host string) net.IP {
	parts := strings.Split(strings.TrimSuffix(host, "."), ".")
	if len(parts) > 4 {
		return nil
	}
	var v uint64
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 0, 64)
		if strings.HasPrefix(p, "0") && strings.Trim(p, "0123456789") == "" && len(p) > 1 {
			n, err = strconv.ParseUint(p, 8, 64)
		}
		if err != nil {
			return nil
		}
		bits := 8
		if i == len(parts)-1 {
			bits = 8 * (5 - len(parts))
		}
		if n >= 1<<bits {
			return nil
		}
		v = v<<bits | n
	}
	return net.IPv4(byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}

// disguises are the ways to write an IPv4 address into a URL's host.
func disguises(text string) map[string]string {
	b := netip.MustParseAddr(text).As4()
	v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	hex4 := fmt.Sprintf("%x:%x", v>>16, v&0xffff)
	spread := func(first, after rune) string {
		return strings.Map(func(r rune) rune {
			if r == '0' {
				return first
			} else if r > '0' && r <= '9' {
				return after + r - '1'
			}
			return r
		}, text)
	}
	var percent strings.Builder
	for i := range len(text) {
		fmt.Fprintf(&percent, "%%%02x", text[i])
	}
	return map[string]string{
		"dotted": text, "trailing dot": text + ".", "decimal": fmt.Sprint(v), "octal": fmt.Sprintf("0%o", v), "hex": fmt.Sprintf("0x%x", v), "hex upper": fmt.Sprintf("0X%X", v),
		"octal parts": fmt.Sprintf("0%o.0%o.0%o.0%o", b[0], b[1], b[2], b[3]), "padded octal": fmt.Sprintf("000%o.000%o.000%o.000%o", b[0], b[1], b[2], b[3]),
		"hex parts": fmt.Sprintf("0x%x.0x%x.0x%x.0x%x", b[0], b[1], b[2], b[3]), "mixed parts": fmt.Sprintf("%d.0x%x.0%o.%d", b[0], b[1], b[2], b[3]),
		"two parts": fmt.Sprintf("%d.%d", b[0], v&0xffffff), "three parts": fmt.Sprintf("%d.%d.%d", b[0], b[1], v&0xffff), "hex two parts": fmt.Sprintf("0x%x.0x%x", b[0], v&0xffffff),
		"percent": percent.String(), "full-width digits": spread('０', '１'), "circled digits": spread('⓪', '①'),
		"ideographic dots": strings.ReplaceAll(text, ".", "。"), "full-width dots": strings.ReplaceAll(text, ".", "．"),
		"mapped": "[::ffff:" + text + "]", "mapped hex": "[::ffff:" + hex4 + "]", "compatible": "[::" + text + "]",
		"NAT64": "[64:ff9b::" + hex4 + "]", "NAT64 local": "[64:ff9b:1::" + hex4 + "]", "6to4": "[2002:" + hex4 + "::1]",
		"Teredo": fmt.Sprintf("[2001:0:4136:e378:8000:63bf:%x:%x]", ^v>>16, ^v&0xffff), "Teredo server": "[2001:0:" + hex4 + "::1]",
		"ISATAP": "[2606:4700::5efe:" + hex4 + "]", "ISATAP global": "[2606:4700::200:5efe:" + hex4 + "]",
	}
}

// batteryURLs gives the battery by kinds, in a steady order.
func batteryURLs() iter.Seq2[string, []string] {
	kinds := map[string][]string{}
	add := func(kind string, urls ...string) { kinds[kind] = append(kinds[kind], urls...) }
	for _, a := range innerAddresses {
		for name, host := range disguises(a) {
			add("IPv4 "+name, "http://"+host+"/latest/meta-data")
		}
		for _, s := range []string{"301", "302", "303", "307", "308"} {
			add("redirect "+s, siteURL("http://"+a+"/", 0, s))
		}
		for hops := 1; hops <= 4; hops++ {
			add("redirect chains", siteURL("http://"+a+"/", hops, "302"))
		}
		add("redirect to decimal", siteURL("http://"+disguises(a)["decimal"]+"/", 0, "302"))
		add("redirect to mapped", siteURL("http://"+disguises(a)["mapped"]+"/", 0, "307"))
		add("rebinding", "http://rebind1."+strings.ReplaceAll(a, ".", "-")+".example/")
		add("redirect and rebinding", siteURL("http://rebind2."+strings.ReplaceAll(a, ".", "-")+".example/", 0, "302"))
		add("user names", "http://site.example@"+a+"/", "http://site.example:80@"+a+"/", "http://"+a+"@site.example@"+a+"/")
		add("ports", "http://"+a+":8080/", "http://"+a+":22/", "http://"+a+":6379/", "http://"+a+":080/", "https://"+a+"/")
	}
	for _, h := range innerIPv6 {
		add("IPv6", "http://"+h+"/", "http://"+h+":8080/")
		add("redirect to IPv6", siteURL("http://"+h+"/", 0, "302"))
	}
	for _, n := range slices.Sorted(maps.Keys(nameTable)) {
		add("names", "http://"+n+"/", "http://"+strings.ToUpper(n)+"./")
		add("redirect to names", siteURL("http://"+n+"/", 1, "308"))
	}
	for _, s := range []string{"file:///etc/passwd", "gopher://127.0.0.1:80/_x", "ftp://127.0.0.1:80/", "dict://127.0.0.1:6379/info", "ldap://127.0.0.1:80/", "jar:http://127.0.0.1!/", "javascript:alert(1)", "data:text/plain,x", "unix:///run/x.sock", "s3://media/x"} {
		add("redirect to other schemes", siteURL(s, 0, "302"), siteURL(s, 2, "307"))
	}
	add("other schemes", "gopher://127.0.0.1:80/_x", "ftp://127.0.0.1/", "dict://127.0.0.1:6379/info", "ldap://127.0.0.1/", "tftp://127.0.0.1/", "sftp://127.0.0.1/", "netdoc:///etc/passwd", "file:///etc/passwd", "file://127.0.0.1/x", "/etc/passwd", "data:text/plain,x")
	add("broken", "http://127.0.0.1\r\nHost: site.example/", "http://site.example\r\n@127.0.0.1/", "http://127.0.0.1%0d%0aX: y/", "http://127.0.0.1\\@site.example/", "http://site.example\\@127.0.0.1/",
		"http:///127.0.0.1/", "http:127.0.0.1/", "http://[::1/", "http://[127.0.0.1]/", "http://127.0.0.1%00.site.example/", "http://127.0.0.1\x00.site.example/", "http://127.0.0.1 .site.example/",
		"http://127.0.0.1\t/", "http://127.1#@site.example/", "http://127.0.0.1?@site.example/", "http://[::1%25lo%00]/", "http://127.0.0.1:80:80/", "http://127.0.0.1:-80/", "http://127.0.0.1:99999/", "http://0/", "http://0x0/", "http://127.1/", "http://127.0.1/", "http://1/")
	return func(yield func(string, []string) bool) {
		for _, k := range slices.Sorted(maps.Keys(kinds)) {
			if !yield(k, kinds[k]) {
				return
			}
		}
	}
}
