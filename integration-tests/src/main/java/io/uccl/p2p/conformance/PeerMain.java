package io.uccl.p2p.conformance;

import io.uccl.p2p.Connection;
import io.uccl.p2p.EndpointMetadata;
import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.Notification;
import io.uccl.p2p.P2pEngine;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.PostResult;
import io.uccl.p2p.ReceivedNotification;
import io.uccl.p2p.RegionAccess;
import io.uccl.p2p.TransferBatch;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import java.util.zip.CRC32;
import org.jspecify.annotations.Nullable;

/**
 * The process on the other side of the rules. It obeys commands, one a line, from its standard
 * input, answers each with one line on its standard output, and ends when its input does.
 *
 * <p>A command is a verb and arguments, separated by blanks; things are named by numbers that the
 * answers give. An answer is {@code ok}, with a result behind it if there is one, or {@code fail},
 * the class of the exception and its message.
 */
public final class PeerMain {

  private static final HexFormat HEX = HexFormat.of();

  /** Stands for an empty text or empty bytes in a command. */
  static final String EMPTY = "-";

  private final Map<String, Object> things = new HashMap<>();

  /** Of everything the engine that it belongs to, both by name. */
  private final Map<String, String> owners = new HashMap<>();

  private int lastName;

  private PeerMain() {}

  /** Obeys until the input ends. */
  public static void main(String[] arguments) throws IOException {
    PrintStream answers = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    // Whatever else prints must not get in between the answers.
    System.setOut(System.err);
    PeerMain peer = new PeerMain();
    BufferedReader commands =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = commands.readLine(); line != null; line = commands.readLine()) {
      answers.println(peer.answer(line));
    }
  }

  private String answer(String line) {
    try {
      String result = obey(line.split(" ", -1));
      return result.isEmpty() ? "ok" : "ok " + result;
    } catch (InterruptedException | RuntimeException e) {
      return "fail "
          + e.getClass().getName()
          + " "
          + String.valueOf(e.getMessage()).replaceAll("\\s+", " ");
    }
  }

  private String obey(String[] words) throws InterruptedException {
    return switch (words[0]) {
      case "open" -> nameEngine(P2pEngine.open(config(words)));
      case "metadata" -> HEX.formatHex(engine(words[1]).metadata().encode());
      case "transport" -> engine(words[1]).transport().name();
      case "allocate" ->
          name(
              engine(words[1]).allocate(Long.parseLong(words[2]), RegionAccess.valueOf(words[3])),
              words[1]);
      case "register" -> register(words);
      case "advertise" ->
          region(words[1]).advertise(Long.parseLong(words[2]), Long.parseLong(words[3])).toString();
      case "fill" -> fill(words);
      case "check" -> check(words);
      case "accept" -> accept(words);
      case "connect" ->
          name(
              engine(words[1])
                  .connect(EndpointMetadata.decode(HEX.parseHex(words[2])), millis(words[3])),
              words[1]);
      case "post" -> post(words);
      case "await" -> await(words);
      case "notify" -> connection(words[1]).sendNotification(notification(words)).name();
      case "take" -> take(words);
      case "takeSum" -> takeSum(words);
      case "failure" -> failure(connection(words[1]).failure());
      case "close" -> close(words[1]);
      case "environment" -> nameEngine(P2pEngine.open());
      default -> throw new IllegalArgumentException("unknown command " + words[0]);
    };
  }

  /** {@code open TRANSPORT|- STALL_MILLIS MAX_OPERATION_BYTES NAME=VALUE...}. */
  private static EngineConfig config(String[] words) {
    Map<String, String> environment = new HashMap<>();
    for (int i = 4; i < words.length; i++) {
      String[] pair = words[i].split("=", 2);
      environment.put(pair[0], pair[1]);
    }
    EngineConfig config = EngineConfig.of(environment);
    return (words[1].equals(EMPTY) ? config : config.withTransport(words[1]))
        .withStallDeadline(millis(words[2]))
        .withMaxOperationBytes(Long.parseLong(words[3]));
  }

  /** {@code register ENGINE LENGTH ACCESS}: the buffer can be looked at after the close. */
  private String register(String[] words) {
    ByteBuffer buffer = ByteBuffer.allocateDirect(Integer.parseInt(words[2]));
    return name(
        new OwnedRegion(buffer, engine(words[1]).register(buffer, RegionAccess.valueOf(words[3]))),
        words[1]);
  }

  /** {@code fill REGION OFFSET LENGTH SEED POSITION}. */
  private String fill(String[] words) {
    Pattern.fill(
        region(words[1]),
        Long.parseLong(words[2]),
        Long.parseLong(words[3]),
        Long.parseLong(words[4]),
        Long.parseLong(words[5]));
    return "";
  }

  /** {@code check REGION OFFSET LENGTH SEED POSITION}; answers the first wrong index or -1. */
  private String check(String[] words) {
    long offset = Long.parseLong(words[2]);
    long length = Long.parseLong(words[3]);
    long seed = Long.parseLong(words[4]);
    long position = Long.parseLong(words[5]);
    if (thing(words[1]) instanceof OwnedRegion owned) {
      ByteBuffer view = owned.buffer().slice((int) offset, (int) length);
      return Long.toString(Pattern.mismatch(view, seed, position));
    }
    return Long.toString(Pattern.mismatch(region(words[1]), offset, length, seed, position));
  }

  private String accept(String[] words) throws InterruptedException {
    Connection connection = engine(words[1]).accept(millis(words[2]));
    return connection == null ? "" : name(connection, words[1]);
  }

  /**
   * {@code post CONNECTION MILLIS}, then operations {@code w|r REGION OFFSET DESCRIPTOR AT LEN}.
   */
  private String post(String[] words) {
    int count = (words.length - 3) / 6;
    TransferBatch batch = connection(words[1]).newBatch(count);
    for (int i = 3; i < words.length; i += 6) {
      MemoryRegion local = region(words[i + 1]);
      long offset = Long.parseLong(words[i + 2]);
      FifoDescriptor remote = FifoDescriptor.decode(HEX.parseHex(words[i + 3]));
      long at = Long.parseLong(words[i + 4]);
      long length = Long.parseLong(words[i + 5]);
      if (words[i].equals("w")) {
        batch.write(local, offset, remote, at, length);
      } else {
        batch.read(local, offset, remote, at, length);
      }
    }
    PostResult result = batch.post(millis(words[2]));
    if (result != PostResult.POSTED) {
      throw new IllegalStateException("the batch was not taken: " + result);
    }
    return name(batch, owner(words[1]));
  }

  private String await(String[] words) throws InterruptedException {
    if (!((TransferBatch) thing(words[1])).await(millis(words[2]))) {
      throw new IllegalStateException("the transfer did not end in " + words[2] + " ms");
    }
    return "";
  }

  /** {@code notify CONNECTION TYPE NAME MESSAGE}. */
  private static Notification notification(String[] words) {
    return Notification.of(Integer.parseInt(words[2]), bytes(words[3]), bytes(words[4]));
  }

  private String take(String[] words) throws InterruptedException {
    ReceivedNotification received = engine(words[1]).takeNotification(millis(words[2]));
    if (received == null) {
      return "";
    }
    Notification notification = received.notification();
    return notification.type()
        + " "
        + text(notification.name())
        + " "
        + text(notification.message())
        + " "
        + nameOf(received.from());
  }

  /** {@code takeSum ENGINE MILLIS}: what is too long to be told is told by its sum. */
  private String takeSum(String[] words) throws InterruptedException {
    ReceivedNotification received = engine(words[1]).takeNotification(millis(words[2]));
    return received == null ? "" : sum(received.notification());
  }

  /** Type, lengths and checksum of a notification. */
  static String sum(Notification notification) {
    byte[] message = notification.message();
    CRC32 crc = new CRC32();
    crc.update(message);
    return notification.type()
        + "/"
        + notification.name().length
        + "/"
        + message.length
        + "/"
        + crc.getValue();
  }

  private static String failure(@Nullable P2pException failure) {
    return failure == null ? "" : failure.getClass().getName();
  }

  private String close(String name) {
    if (Integer.parseInt(name) <= lastName && !things.containsKey(name)) {
      // Closed before, or with its engine.
      return "";
    }
    Object thing = thing(name);
    if (thing instanceof P2pEngine engine) {
      engine.close();
      things.keySet().removeIf(each -> owner(each).equals(name));
      owners.values().removeIf(name::equals);
    } else if (thing instanceof OwnedRegion owned) {
      owned.region().close();
    } else if (thing instanceof MemoryRegion region) {
      region.close();
    } else if (thing instanceof Connection connection) {
      connection.close();
    } else {
      ((TransferBatch) thing).close();
    }
    return "";
  }

  private String nameEngine(P2pEngine engine) {
    String name = Integer.toString(++lastName);
    things.put(name, engine);
    owners.put(name, name);
    return name;
  }

  private String name(Object thing, String engine) {
    String name = Integer.toString(++lastName);
    things.put(name, thing);
    owners.put(name, engine);
    return name;
  }

  private String owner(String name) {
    return owners.getOrDefault(name, EMPTY);
  }

  private String nameOf(@Nullable Connection connection) {
    return things.entrySet().stream()
        .filter(entry -> entry.getValue() == connection)
        .map(Map.Entry::getKey)
        .findFirst()
        .orElse(EMPTY);
  }

  private Object thing(String name) {
    Object thing = things.get(name);
    if (thing == null) {
      throw new IllegalArgumentException("nothing is named " + name);
    }
    return thing;
  }

  private P2pEngine engine(String name) {
    return (P2pEngine) thing(name);
  }

  private Connection connection(String name) {
    return (Connection) thing(name);
  }

  private MemoryRegion region(String name) {
    Object thing = thing(name);
    return thing instanceof OwnedRegion owned ? owned.region() : (MemoryRegion) thing;
  }

  private static Duration millis(String text) {
    return Duration.ofMillis(Long.parseLong(text));
  }

  /** Bytes as a word of the protocol. */
  static String text(byte[] bytes) {
    return bytes.length == 0 ? EMPTY : HEX.formatHex(bytes);
  }

  /** The bytes of a word of the protocol. */
  static byte[] bytes(String word) {
    return word.equals(EMPTY) ? new byte[0] : HEX.parseHex(word);
  }

  /** A region over a buffer that this process keeps. */
  private record OwnedRegion(ByteBuffer buffer, MemoryRegion region) {}
}
