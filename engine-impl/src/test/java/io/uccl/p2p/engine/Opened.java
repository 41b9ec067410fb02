package io.uccl.p2p.engine;

import static io.uccl.p2p.engine.Leftovers.until;

import java.util.ArrayDeque;
import java.util.Deque;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.ExtensionContext;

/** What a test has opened: closed behind it, the last first; no thread of an engine is left. */
final class Opened implements AfterEachCallback {

  private final Deque<AutoCloseable> resources = new ArrayDeque<>();

  /** Closes it after the test. */
  <T extends AutoCloseable> T closing(T resource) {
    resources.push(resource);
    return resource;
  }

  @Override
  public void afterEach(ExtensionContext context) throws Exception {
    while (!resources.isEmpty()) {
      resources.pop().close();
    }
    until("no thread of an engine", () -> Leftovers.threads().isEmpty());
  }
}
