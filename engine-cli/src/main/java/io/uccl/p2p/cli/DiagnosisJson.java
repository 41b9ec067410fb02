package io.uccl.p2p.cli;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.uccl.p2p.TransportChoice;
import io.uccl.p2p.spi.Availability;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** A diagnosis as a JSON object. */
final class DiagnosisJson {

  private DiagnosisJson() {}

  static ObjectNode of(Diagnosis diagnosis) {
    ObjectNode root = JsonNodeFactory.instance.objectNode();
    root.put("version", Version.text());
    root.put("java", System.getProperty("java.version"));
    root.put("os", System.getProperty("os.name") + " " + System.getProperty("os.arch"));
    root.put("ok", diagnosis.exitCode() == ExitCode.OK);
    ArrayNode transports = root.putArray("transports");
    for (Diagnosis.Found found : diagnosis.transports()) {
      ObjectNode node = transports.addObject().put("name", found.name());
      strings(node.putArray("aliases"), found.aliases());
      put(node, found.availability());
    }
    choice(root, diagnosis.choice());
    optional(root, "trial", diagnosis.trial());
    root.put("advertised", diagnosis.advertised());
    put(root.putObject("native_memory"), diagnosis.memory());
    ArrayNode interfaces = root.putArray("interfaces");
    for (Diagnosis.Interface each : diagnosis.interfaces()) {
      ObjectNode node = interfaces.addObject();
      node.put("name", each.name()).put("up", each.up());
      node.put("loopback", each.loopback()).put("mtu", each.mtu());
      strings(node.putArray("addresses"), each.addresses());
    }
    strings(root.putArray("devices"), diagnosis.devices());
    ArrayNode settings = root.putArray("settings");
    for (Diagnosis.Value value : diagnosis.settings()) {
      ObjectNode node = settings.addObject();
      node.put("name", value.name()).put("read_by", value.reader());
      node.put("value", value.isSet() ? value.value() : null);
      node.put("default", value.defaultText()).put("meaning", value.meaning());
    }
    strings(root.putArray("ignored_variables"), diagnosis.ignored());
    strings(root.putArray("problems"), diagnosis.problems());
    return root;
  }

  private static void choice(ObjectNode root, @Nullable TransportChoice choice) {
    if (choice == null) {
      root.putNull("choice");
    } else {
      root.putObject("choice").put("name", choice.name()).put("reason", choice.reason());
    }
  }

  private static void optional(ObjectNode root, String name, @Nullable Availability availability) {
    if (availability == null) {
      root.putNull(name);
    } else {
      put(root.putObject(name), availability);
    }
  }

  private static void put(ObjectNode node, Availability availability) {
    node.put("available", availability.available());
    node.put("detail", availability.detail());
    node.put("remedy", availability.remedy());
  }

  private static void strings(ArrayNode array, List<String> values) {
    values.forEach(array::add);
  }
}
