package io.uccl.p2p;

import static java.util.Objects.requireNonNull;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.HexFormat;

/** The bytes that were captured from the C++ engine. */
final class Golden {

  private Golden() {}

  static JsonNode get(String name) {
    try (InputStream in = requireNonNull(Golden.class.getResourceAsStream("/golden.json"))) {
      return requireNonNull(new ObjectMapper().readTree(in).get(name), name);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static byte[] hex(JsonNode node, String field) {
    return HexFormat.of().parseHex(node.get(field).textValue());
  }
}
