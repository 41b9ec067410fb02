package io.uccl.p2p.engine;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class SendQueueTest {

  private final SendQueue queue = new SendQueue();
  private final List<String> log = new ArrayList<>();

  private static byte[] bytes(String text) {
    return text.getBytes(ISO_8859_1);
  }

  /**
   * Offers a buffer of some bytes and takes part of what was put in; the lengths show as digits.
   */
  private String send(int room, int taken) {
    ByteBuffer target = ByteBuffer.allocate(room);
    queue.copyTo(target);
    List<Runnable> runs = new ArrayList<>();
    queue.sent(taken, runs);
    runs.forEach(Runnable::run);
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < taken; i++) {
      byte b = target.get(i);
      text.append(b < ' ' ? (char) ('0' + b) : (char) b);
    }
    return text.toString();
  }

  @Test
  void controlFramesOvertakeThePiecesOfANotificationThatWereNotBegun() {
    queue.addNotification(List.of(bytes("aa"), bytes("bb"), bytes("cc")), () -> log.add("taken"));
    assertThat(send(5, 5)).isEqualTo("0002a");
    queue.addControl(bytes("!"));
    assertThat(send(100, 12)).isEqualTo("a0001!0002bb");
    queue.addControl(bytes("?"));
    assertThat(log).isEmpty();
    assertThat(send(100, 11)).as("cc was handed out before").isEqualTo("0002cc0001?");
    assertThat(log).containsExactly("taken");
    assertThat(queue.isEmpty()).isTrue();
  }

  @Test
  void notificationsStayInTheirOrder() {
    queue.addNotification(List.of(bytes("a"), bytes("b")), () -> log.add("first"));
    queue.addNotification(List.of(bytes("c")), () -> log.add("second"));
    assertThat(queue.bytes()).isEqualTo(15);
    assertThat(send(100, 15)).isEqualTo("0001a0001b0001c");
    assertThat(log).containsExactly("first", "second");
  }

  @Test
  void theLatestFrameTakesThePlaceOfTheOneBeforeUntilThatIsHandedOut() {
    queue.addLatest(bytes("1st"));
    queue.addLatest(bytes("2nd"));
    assertThat(queue.bytes()).isEqualTo(7);
    assertThat(send(2, 0)).isEmpty();
    queue.addLatest(bytes("3rd"));
    queue.addLatest(bytes("4th"));
    assertThat(send(100, 14)).isEqualTo("00032nd00034th");
    queue.addLatest(bytes("5th"));
    assertThat(send(100, 7)).isEqualTo("00035th");
  }

  @Test
  void whatWasClearedIsNotSentAndNotToldAsTaken() {
    queue.addNotification(List.of(bytes("a")), () -> log.add("taken"));
    queue.copyTo(ByteBuffer.allocate(10));
    queue.clear();
    assertThat(send(10, 0)).isEmpty();
    queue.sent(5, new ArrayList<>());
    assertThat(queue.isEmpty()).isTrue();
    assertThat(log).isEmpty();
  }
}
