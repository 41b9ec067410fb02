package io.uccl.p2p;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

class NotificationTest {

  private static final int MOST = Notification.MAX_FRAME_BYTES - Notification.HEADER_BYTES;

  @Test
  void aTextNameIsUtf8AndTheTypeIsZero() {
    Notification notification = Notification.of("bl\u00f6ck", new byte[] {0, -1});

    assertThat(notification.type()).isZero();
    assertThat(notification.name()).isEqualTo("bl\u00f6ck".getBytes(StandardCharsets.UTF_8));
    assertThat(notification.nameText()).isEqualTo("bl\u00f6ck");
    assertThat(notification.message()).containsExactly(0, -1);
    assertThat(notification.frameBytes()).isEqualTo(16 + 6 + 2);
  }

  @Test
  void nameAndMessageMayBeEmptyOrHoldAnything() {
    Notification empty = Notification.of(-1, new byte[0], new byte[0]);
    assertThat(empty.type()).isEqualTo(-1);
    assertThat(empty.frameBytes()).isEqualTo(16);
    assertThat(empty.nameText()).isEmpty();

    Notification opaque = Notification.of(7, new byte[] {0, -128, -1}, new byte[] {0});
    assertThat(opaque.name()).containsExactly(0, -128, -1);
    assertThat(opaque.message()).containsExactly(0);
  }

  @Test
  void changingAnArrayBeforeOrAfterChangesNothing() {
    byte[] name = {1};
    byte[] message = {2};
    Notification notification = Notification.of(0, name, message);
    Notification ofText = Notification.of("t", message);
    name[0] = 9;
    message[0] = 9;
    notification.name()[0] = 9;
    notification.message()[0] = 9;

    assertThat(notification).isEqualTo(Notification.of(0, new byte[] {1}, new byte[] {2}));
    assertThat(ofText).isEqualTo(Notification.of("t", new byte[] {2}));
  }

  @Test
  void equalityLooksAtTypeNameAndMessage() {
    Notification one = Notification.of(1, new byte[] {1}, new byte[] {2});

    assertThat(one)
        .isEqualTo(Notification.of(1, new byte[] {1}, new byte[] {2}))
        .hasSameHashCodeAs(Notification.of(1, new byte[] {1}, new byte[] {2}))
        .isNotEqualTo(Notification.of(2, new byte[] {1}, new byte[] {2}))
        .isNotEqualTo(Notification.of(1, new byte[] {3}, new byte[] {2}))
        .isNotEqualTo(Notification.of(1, new byte[] {1}, new byte[] {3}))
        // The same bytes, cut elsewhere.
        .isNotEqualTo(Notification.of(1, new byte[] {1, 2}, new byte[0]))
        .isNotEqualTo(null);
  }

  @Test
  void aFrameHoldsSixtyFourMebibytesAndNotAByteMore() {
    assertThat(Notification.of(0, new byte[0], new byte[MOST]).frameBytes()).isEqualTo(64 << 20);
    assertThatThrownBy(() -> Notification.of(0, new byte[1], new byte[MOST]))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(Integer.toString(MOST + 1));
    assertThatThrownBy(() -> Notification.of("n", new byte[MOST]))
        .isInstanceOf(IllegalArgumentException.class);
  }
}
