package io.uccl.p2p.conformance;

import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;

/**
 * How long this process's threads wait for a core, seen by one that asks for very little: whatever
 * it comes late, by more than a calm machine lets it, the machine was busy with something else.
 */
final class Starvation {

  private static final long STEP_NANOS = TimeUnit.MILLISECONDS.toNanos(1);
  private static final long CALM_NANOS = TimeUnit.MILLISECONDS.toNanos(5);

  private final AtomicLong late = new AtomicLong();

  /** Starts to look. */
  static Starvation watch() {
    Starvation starvation = new Starvation();
    Thread thread = new Thread(starvation::look, "watches for starvation");
    thread.setDaemon(true);
    thread.start();
    return starvation;
  }

  /** All of it since it was started. */
  Duration total() {
    return Duration.ofNanos(late.get());
  }

  private void look() {
    long before = System.nanoTime();
    while (true) {
      LockSupport.parkNanos(STEP_NANOS);
      long now = System.nanoTime();
      long over = now - before - STEP_NANOS;
      if (over > CALM_NANOS) {
        late.addAndGet(over);
      }
      before = now;
    }
  }
}
