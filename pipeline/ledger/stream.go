package ledger

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Stream names a stream: a partition of a topic of a Kafka cluster, or, if Name is
// set, anything else that gives offsets (a backfill). The other fields are then zero.
type Stream struct {
	Cluster   string
	Topic     string
	Partition int32
	Name      string
}

// maxStream bounds a stream's path: it is one part of an object's key.
const maxStream = 255

// KafkaStream names a partition. The cluster is the cluster's id.
func KafkaStream(cluster, topic string, partition int32) Stream {
	return Stream{Cluster: cluster, Topic: topic, Partition: partition}
}

// NamedStream names another source.
func NamedStream(name string) Stream { return Stream{Name: name} }

// Validate refuses what has no path.
func (s Stream) Validate() error {
	switch {
	case s.Name != "" && (s.Cluster != "" || s.Topic != "" || s.Partition != 0):
		return errors.New("a stream has either a name, or a cluster, topic and partition")
	case s.Name == "" && (s.Cluster == "" || s.Topic == ""):
		return errors.New("a stream needs a name, or a cluster and a topic")
	case s.Partition < 0:
		return fmt.Errorf("the partition is %d", s.Partition)
	case !utf8.ValidString(s.Name + s.Cluster + s.Topic):
		return fmt.Errorf("%q is not valid UTF-8", s.Name+s.Cluster+s.Topic)
	}
	if n := len(s.Path()); n > maxStream {
		return fmt.Errorf("the stream %s needs %d bytes as a part of an object's name; %d are allowed", s, n, maxStream)
	}
	return nil
}

// Path is the stream as one part of an object's key: "<cluster>~<topic>~<partition>"
// or "<name>", where all but ASCII letters, digits, '-', '_' and inner dots is
// percent-encoded.
func (s Stream) Path() string {
	if s.Name != "" {
		return encodePart(s.Name)
	}
	return encodePart(s.Cluster) + "~" + encodePart(s.Topic) + "~" + strconv.Itoa(int(s.Partition))
}

// String is for people.
func (s Stream) String() string {
	if s.Name != "" {
		return s.Name
	}
	return fmt.Sprintf("%s/%s/%d", s.Cluster, s.Topic, s.Partition)
}

// ParseStream reads a Path. Only what Path itself would give is accepted.
func ParseStream(path string) (Stream, error) {
	s, err := parseStream(path)
	if err == nil {
		err = s.Validate()
	}
	if err == nil && s.Path() != path {
		err = fmt.Errorf("it would be written %q", s.Path())
	}
	if err != nil {
		return Stream{}, fmt.Errorf("%q names no stream: %w", path, err)
	}
	return s, nil
}

func parseStream(path string) (s Stream, err error) {
	parts := strings.Split(path, "~")
	if len(parts) == 1 {
		s.Name, err = url.PathUnescape(path)
		return s, err
	}
	if len(parts) != 3 {
		return Stream{}, errors.New("want a name, or cluster~topic~partition")
	}
	n, err := strconv.ParseInt(parts[2], 10, 32)
	if err != nil {
		return Stream{}, fmt.Errorf("the partition: %w", err)
	}
	cluster, err1 := url.PathUnescape(parts[0])
	topic, err2 := url.PathUnescape(parts[1])
	return KafkaStream(cluster, topic, int32(n)), errors.Join(err1, err2)
}

func encodePart(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
