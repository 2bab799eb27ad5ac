package source

import (
	"errors"
	"net/netip"
	"testing"
)

func TestGuard(t *testing.T) {
	const (
		never   = 0 // refused whatever the settings
		private = 1 // only with allow_private
		public  = 2
	)
	for _, c := range []struct {
		addr string
		want int
	}{
		{"8.8.8.8", public}, {"1.1.1.1", public}, {"93.184.216.34", public}, {"223.255.255.254", public},
		{"2606:4700:4700::1111", public}, {"2a00:1450:4001::200e", public}, {"2001:4860:4860::8888", public}, {"2001:200::1", public},
		// loopback, private, shared, unique local
		{"127.0.0.1", private}, {"127.255.255.254", private}, {"::1", private},
		{"10.0.0.1", private}, {"10.255.255.255", private}, {"172.16.0.1", private}, {"172.31.255.255", private}, {"192.168.0.1", private},
		{"100.64.0.1", private}, {"100.100.100.200", private}, {"100.127.255.255", private},
		{"fc00::1", private}, {"fd00:ec2::254", private},
		// the neighbours of these ranges
		{"11.0.0.1", public}, {"172.15.255.255", public}, {"172.32.0.1", public}, {"100.63.255.255", public}, {"100.128.0.1", public}, {"126.255.255.255", public}, {"128.0.0.1", public},
		{"0.0.0.0", never}, {"0.1.2.3", never}, {"::", never},
		{"169.254.169.254", never}, {"169.254.0.1", never}, {"fe80::1", never}, {"fe80::1%eth0", never}, {"febf::1", never},
		{"168.63.129.16", never}, {"192.0.0.192", never}, {"192.0.2.1", never}, {"192.88.99.1", never},
		{"198.18.0.1", never}, {"198.19.255.255", never}, {"198.51.100.7", never}, {"203.0.113.7", never},
		{"224.0.0.1", never}, {"239.255.255.255", never}, {"240.0.0.1", never}, {"255.255.255.255", never},
		{"ff02::1", never}, {"ff0e::1", never}, {"fec0::1", never}, {"feff::1", never},
		// IPv4 embedded in IPv6, public inside or not
		{"::ffff:127.0.0.1", never}, {"::ffff:8.8.8.8", never}, {"::ffff:169.254.169.254", never},
		{"::127.0.0.1", never}, {"::8.8.8.8", never}, {"::2", never},
		{"2002:7f00:1::", never}, {"2002:808:808::1", never},
		{"64:ff9b::7f00:1", never}, {"64:ff9b::808:808", never}, {"64:ff9b:1::a00:1", never}, {"64:ff9b:1:ffff:ffff:ffff:ffff:ffff", never},
		{"2001::7f00:1", never}, {"2001:0:4136:e378:8000:63bf:3fff:fdd2", never},
		{"2606:4700::5efe:7f00:1", never}, {"2606:4700::200:5efe:a00:1", never}, {"2a00:1450:4001:1:0:5efe:808:808", never},
		{"2001:db8::1", never}, {"3fff::1", never}, {"3fff:fff::1", never}, {"2001:10::1", never}, {"2001:20::1", never}, {"2001:1ff::1", never},
		// outside 2000::/3
		{"100::1", never}, {"1fff::1", never}, {"4000::1", never}, {"5f00::1", never}, {"fb00::1", never},
	} {
		a := netip.MustParseAddr(c.addr)
		for _, allow := range []bool{false, true} {
			err := guard{allow}.check(a)
			want := c.want == public || c.want == private && allow
			if (err == nil) != want {
				t.Errorf("%s with allow_private %v: %v, want allowed %v", c.addr, allow, err, want)
			}
			var ae *addressError
			if err != nil && (!errors.As(err, &ae) || ae.why == "") {
				t.Errorf("%s: the refusal %v gives no reason", c.addr, err)
			}
		}
	}
}

func TestGuardControl(t *testing.T) {
	g := guard{}
	for addr, want := range map[string]bool{
		"8.8.8.8:80": true, "[2606:4700::1111]:443": true,
		"127.0.0.1:80": false, "[::1]:80": false, "[fe80::1%lo]:80": false, "[::ffff:10.0.0.1]:443": false, "localhost:80": false, "": false,
	} {
		if err := g.control("tcp", addr, nil); (err == nil) != want {
			t.Errorf("%q: %v, want allowed %v", addr, err, want)
		}
	}
}
