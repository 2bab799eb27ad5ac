package kafkatest

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// version is the folder that deploy/tools/kafka.sh makes.
const version = "4.1.0"

// findJars returns the folder of Kafka's jars: MILLRACE_KAFKA_DIR, or .cache/kafka
// beside the go.mod above the working directory.
func findJars() (string, error) {
	if _, err := exec.LookPath("java"); err != nil {
		return "", errors.New("java is not installed: run make tools")
	}
	dir := os.Getenv("MILLRACE_KAFKA_DIR")
	if dir == "" {
		root, err := moduleRoot()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(root, ".cache", "kafka", version)
	}
	if _, err := os.Stat(filepath.Join(dir, "kafka_2.13-"+version+".jar")); err != nil {
		return "", fmt.Errorf("no Kafka %s in %s: run make tools", version, dir)
	}
	return dir, nil
}

func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("no go.mod above the working directory: set MILLRACE_KAFKA_DIR")
		}
		dir = up
	}
}

// format writes server.properties and an empty KRaft log into the broker's folder, and
// chooses its addresses.
func (b *Broker) format(proxies []string) error {
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return err
	}
	ports, err := freePorts(2 + len(proxies))
	if err != nil {
		return err
	}
	at := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", ports[i]) }
	b.addr = at(0)
	for i := range proxies {
		b.fronts = append(b.fronts, at(2+i))
	}
	file := filepath.Join(b.dir, "server.properties")
	if err := os.WriteFile(file, []byte(b.properties(at(1), proxies)), 0o600); err != nil {
		return err
	}
	var id [16]byte
	_, _ = rand.Read(id[:])
	id[0] &= 0x3f // no leading "-", which the tool would take for an option
	cmd := java(b.jars, "kafka.tools.StorageTool", "format", "--standalone",
		"--cluster-id", base64.RawURLEncoding.EncodeToString(id[:]), "--config", file)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("formatting Kafka's storage: %w\n%s", err, out)
	}
	return nil
}

// properties make a node that serves tests: everything has one replica, a first
// group need not wait, and topics are made on purpose only.
func (b *Broker) properties(controller string, proxies []string) string {
	listeners, advertised, protocols := "PLAINTEXT://"+b.addr, "PLAINTEXT://"+b.addr, "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"
	for i, p := range proxies {
		listeners += fmt.Sprintf(",FRONT%d://%s", i, b.fronts[i])
		advertised += fmt.Sprintf(",FRONT%d://%s", i, p)
		protocols += fmt.Sprintf(",FRONT%d:PLAINTEXT", i)
	}
	return strings.Join([]string{
		"process.roles=broker,controller",
		"node.id=1",
		"controller.quorum.bootstrap.servers=" + controller,
		"listeners=" + listeners + ",CONTROLLER://" + controller,
		"advertised.listeners=" + advertised,
		"listener.security.protocol.map=" + protocols,
		"controller.listener.names=CONTROLLER",
		"log.dirs=" + filepath.Join(b.dir, "log"),
		// After a kill the controller refuses the broker until its old session is over.
		"broker.session.timeout.ms=3000",
		"broker.heartbeat.interval.ms=500",
		"auto.create.topics.enable=false",
		"offsets.topic.replication.factor=1",
		"offsets.topic.num.partitions=1",
		"transaction.state.log.replication.factor=1",
		"transaction.state.log.min.isr=1",
		"transaction.state.log.num.partitions=1",
		"group.initial.rebalance.delay.ms=0",
		"group.min.session.timeout.ms=1000",
		"num.network.threads=2",
		"num.io.threads=2",
		"",
	}, "\n")
}

// freePorts finds ports that nobody listens on at the moment.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all at once, or the kernel may give one twice
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
