// Publishes the records of the vectors in this folder with Kafka's own client:
//   java -cp '.cache/kafka/4.1.0/*' Produce.java BROKER
// to the topics java-none, java-gzip, java-snappy, java-lz4 and java-zstd.
import java.nio.charset.StandardCharsets;
import java.util.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public class Produce {
    public static void main(String[] args) throws Exception {
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            Properties p = new Properties();
            p.put("bootstrap.servers", args[0]);
            p.put("compression.type", codec);
            p.put("linger.ms", "500");
            p.put("enable.idempotence", "false");
            try (var producer = new KafkaProducer<>(p, new ByteArraySerializer(), new ByteArraySerializer())) {
                for (int i = 0; i < 5; i++) {
                    byte[] key = i == 3 ? null : bytes("k" + i);
                    byte[] value = i == 4 ? null : bytes(("value " + i + " ").repeat(50));
                    var r = new ProducerRecord<>("java-" + codec, 0, 1700000000000L + i, key, value);
                    r.headers().add("content-type", bytes("video/mp4"));
                    if (i == 1) r.headers().add("empty", null);
                    producer.send(r);
                }
                producer.flush();
            }
        }
    }

    static byte[] bytes(String s) { return s.getBytes(StandardCharsets.UTF_8); }
}
