package io.uccl.p2p.cli;

import io.uccl.p2p.TransportChoice;
import io.uccl.p2p.spi.Availability;
import java.io.PrintStream;
import java.util.function.Function;

/** Prints a diagnosis for people. */
final class DiagnosisText {

  private final PrintStream out;

  DiagnosisText(PrintStream out) {
    this.out = out;
  }

  void print(Diagnosis diagnosis) {
    out.printf(
        "p2p %s, Java %s, %s %s%n",
        Version.text(),
        System.getProperty("java.version"),
        System.getProperty("os.name"),
        System.getProperty("os.arch"));
    transports(diagnosis);
    heading("native memory");
    out.println("  " + text(diagnosis.memory()));
    network(diagnosis);
    heading("settings (* set)");
    int names = width(diagnosis, Diagnosis.Value::name);
    int values = width(diagnosis, DiagnosisText::effective);
    for (Diagnosis.Value value : diagnosis.settings()) {
      out.printf(
          "%s %-" + names + "s  %-" + values + "s  %s (%s)%n",
          value.isSet() ? " *" : "  ",
          value.name(),
          effective(value),
          value.meaning(),
          value.reader());
    }
    for (String name : diagnosis.ignored()) {
      out.println("   " + name + " is set, but has no meaning here");
    }
  }

  private void transports(Diagnosis diagnosis) {
    heading("transports");
    for (Diagnosis.Found found : diagnosis.transports()) {
      String aliases = found.aliases().isEmpty() ? "" : " " + found.aliases();
      out.printf("  %-20s %s%n", found.name() + aliases, text(found.availability()));
    }
    heading("choice");
    TransportChoice choice = diagnosis.choice();
    out.println("  " + (choice == null ? "none" : choice.name() + ": " + choice.reason()));
    Availability trial = diagnosis.trial();
    if (trial != null) {
      out.println("  tried: " + text(trial));
    }
  }

  private void network(Diagnosis diagnosis) {
    heading("network");
    if (diagnosis.advertised() != null) {
      out.println("  control channel at " + diagnosis.advertised());
    }
    for (Diagnosis.Interface each : diagnosis.interfaces()) {
      out.printf(
          "  %-16s %s%s, mtu %d, %s%n",
          each.name(),
          each.up() ? "up" : "down",
          each.loopback() ? ", loopback" : "",
          each.mtu(),
          each.addresses().isEmpty() ? "no address" : String.join(" ", each.addresses()));
    }
    for (String device : diagnosis.devices()) {
      out.println("  device " + device);
    }
    if (diagnosis.devices().isEmpty()) {
      out.println("  no RDMA or Slingshot device");
    }
  }

  private static String effective(Diagnosis.Value value) {
    return value.isSet() ? value.value() : value.defaultText();
  }

  private static int width(Diagnosis diagnosis, Function<Diagnosis.Value, String> column) {
    return diagnosis.settings().stream().mapToInt(v -> column.apply(v).length()).max().orElse(1);
  }

  private void heading(String text) {
    out.println();
    out.println(text);
  }

  private static String text(Availability availability) {
    String remedy = availability.remedy().isEmpty() ? "" : ". " + availability.remedy();
    return (availability.available() ? "yes: " : "no: ") + availability.detail() + remedy;
  }
}
