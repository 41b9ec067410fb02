package io.uccl.p2p.conformance;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uccl.p2p.RegionInUseException;
import io.uccl.p2p.conformance.Scenes.State;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;

/**
 * Closes things in a row of states and watches how long that takes and what is left, in a JVM in
 * which nobody else opens sockets, starts threads or takes memory.
 *
 * <p>It obeys lines of a thing, a state and a number of rounds from its standard input, answers
 * each with one line on its standard output, {@code ok} or what was wrong, and ends when its input
 * does.
 */
final class ClosingProbe {

  /** Before these, the JVM has yet to open and to allocate what it keeps for good. */
  private static final int WARM_UP = 3;

  /** What the contract gives a close, in every state. */
  private static final Duration BOUND = Duration.ofSeconds(1);

  private static final Starvation STARVATION = Starvation.watch();

  /** What is closed. */
  enum Thing {
    ENGINE,
    CONNECTION,
    REGION
  }

  private ClosingProbe() {}

  /** Obeys until the input ends. */
  public static void main(String[] arguments) throws IOException {
    PrintStream answers = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    // Whatever else prints must not get in between the answers.
    System.setOut(System.err);
    BufferedReader rows =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String row = rows.readLine(); row != null; row = rows.readLine()) {
      answers.println(answer(row.split(" ")));
    }
  }

  private static String answer(String[] row) {
    try {
      run(Thing.valueOf(row[0]), State.valueOf(row[1]), Integer.parseInt(row[2]));
      return "ok";
    } catch (Exception | AssertionError e) {
      // With all of it: where it failed says which close it was.
      StringWriter trace = new StringWriter();
      e.printStackTrace(new PrintWriter(trace));
      return trace.toString().replaceAll("\\s+", " ");
    }
  }

  private static void run(Thing thing, State state, int rounds) throws Exception {
    try (Scenes scenes = new Scenes(state)) {
      rounds(thing, scenes, WARM_UP);
      awaitNothingBeyond(new Footprint(Set.of(), Footprint.now().files(), 0), false);
      Footprint before = Footprint.collected();
      int transferring = 0;
      for (int done = 0; done < rounds; done += scenes.atOnce(rounds - done)) {
        transferring += rounds(thing, scenes, scenes.atOnce(rounds - done));
        awaitNothingBeyond(before, false);
      }
      awaitNothingBeyond(before, true);
      if (state.transfers()) {
        assertThat(transferring).as("times that a transfer was under way").isPositive();
      }
    }
  }

  /** Returns in how many of them a transfer was under way. */
  private static int rounds(Thing thing, Scenes scenes, int count) throws Exception {
    int transferring = 0;
    for (Scene scene : scenes.make(count)) {
      try (scene) {
        transferring += scene.isTransferring() ? 1 : 0;
        round(thing, scene, scenes.state());
      }
    }
    scenes.clean();
    return transferring;
  }

  private static void round(Thing thing, Scene scene, State state) throws Exception {
    switch (thing) {
      case ENGINE -> close(scene.engine(), scene, state);
      case CONNECTION -> close(scene.connection(), scene, state);
      case REGION -> closeRegions(scene, state);
    }
    quickly(scene.engine());
    scene.awaitEnd();
    assertThat(scene.connection() == null || !scene.connection().isOpen()).isTrue();
  }

  /** The one that the peer writes and reads; then the one that the engine's own transfer uses. */
  private static void closeRegions(Scene scene, State state) throws Exception {
    close(scene.target(), scene, state);
    if (state == State.PEER_STOPPED) {
      assertThatThrownBy(scene.source()::close).isInstanceOf(RegionInUseException.class);
    }
    try {
      close(scene.source(), scene, state);
    } catch (RegionInUseException e) {
      quickly(scene.connection());
      scene.awaitEnd();
      close(scene.source(), scene, state);
    }
  }

  /** Closes it in time; where closing is the state, on two threads at once. */
  private static void close(AutoCloseable thing, Scene scene, State state) throws Exception {
    if (state != State.CLOSING) {
      quickly(thing);
      return;
    }
    Callable<Boolean> close =
        () -> {
          quickly(thing);
          // For whomever the close returns, the engine is closed.
          return thing != scene.engine()
              || !Footprint.now().threads().contains(scene.controlThread());
        };
    CyclicBarrier start = new CyclicBarrier(2);
    FutureTask<Boolean> elsewhere =
        new FutureTask<>(
            () -> {
              start.await();
              return close.call();
            });
    new Thread(elsewhere, "closes in ClosingProbe").start();
    start.await();
    assertThat(close.call()).as("closed").isTrue();
    assertThat(elsewhere.get(Scenes.PATIENCE.toSeconds(), TimeUnit.SECONDS)).as("closed").isTrue();
  }

  /** Closes it within the bound; the time for which the kernel had no core for us counts apart. */
  private static void quickly(AutoCloseable thing) throws Exception {
    Duration before = STARVATION.total();
    long start = System.nanoTime();
    thing.close();
    Duration taken = Duration.ofNanos(System.nanoTime() - start);
    Duration starved = STARVATION.total().minus(before);
    assertThat(taken.minus(starved))
        .as("close of %s: %s, of which %s the machine had no core", thing, taken, starved)
        .isLessThan(BOUND);
  }

  private static void awaitNothingBeyond(Footprint before, boolean memory) throws Exception {
    long start = System.nanoTime();
    String left;
    do {
      left = (memory ? Footprint.collected() : Footprint.now()).beyond(before);
    } while (!left.isEmpty() && System.nanoTime() - start < Scenes.PATIENCE.toNanos());
    assertThat(left).as("left behind").isEmpty();
  }
}
