package io.uccl.p2p.engine;

import java.util.Arrays;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Who drives the transport, and when.
 *
 * <p>One thread at a time is the <em>owner</em>: it holds a token, and it alone calls the
 * transport. A caller that waits for its transfer takes the token if it can and drives until the
 * transfer has ended, so that no thread has to be woken on the way. Otherwise the progress thread
 * drives. It stands aside while callers do, and comes back when none has driven for {@link
 * #LEASE_NANOS}: a caller that waits, posts and waits again finds the token free each time.
 *
 * <p>Whatever other threads want done on the transport they submit. A submission is executed by the
 * submitting thread itself if the token is free, else by the owner, in the order of submission.
 */
final class ProgressLoop {

  private static final Logger LOG = LoggerFactory.getLogger(ProgressLoop.class);

  /** How long the progress thread leaves the token to callers after the last of them drove. */
  private static final long LEASE_NANOS = TimeUnit.MICROSECONDS.toNanos(200);

  /** After so many leases in which one and the same caller drove, it is left alone. */
  private static final int LEASES_BEFORE_STANDING_ASIDE = 5;

  /** So often a caller polls while the progress thread drives before it gets the token from it. */
  private static final int POLLS_IN_VAIN = 64;

  /** How long an owner that finds nothing to do asks again before it blocks. */
  private static final long SPIN_NANOS = TimeUnit.MICROSECONDS.toNanos(100);

  /** The work of the owner. */
  interface Work {
    /** Does what there is to do without blocking; returns true if that was anything. */
    boolean drive();

    /** Blocks until there may be something to do, or the time is over. */
    void block(long nanos);

    /** Ends the present or next {@link #block}; any thread. */
    void wakeup();

    /** Something in {@link #drive} threw: nothing works any more. Called once, by the owner. */
    void broken(Throwable cause);
  }

  /** Something that a caller waits for. */
  interface Awaited {
    boolean isOver();

    /** Says which thread to unpark when it is over; null: none. */
    void waiter(@Nullable Thread thread);
  }

  private final Work work;
  private final Thread thread;
  private final AtomicReference<@Nullable Thread> owner = new AtomicReference<>();
  private final AtomicReference<@Nullable Submission> submissions = new AtomicReference<>();
  private final AtomicInteger callers = new AtomicInteger();
  private final ParkedCallers parked = new ParkedCallers();
  private volatile boolean blocked;
  private volatile boolean stopped;
  private final AtomicLong callerTurns = new AtomicLong();
  private volatile boolean standingAside;

  /**
   * Polls while the progress thread drove. Only tells few from many, so callers may miscount it.
   */
  private int pollsInVain;

  /** A caller that polls wants the token that the progress thread has. */
  private volatile boolean polled;

  private volatile boolean ended;
  private boolean broken;

  ProgressLoop(String name, Work work) {
    this.work = work;
    thread = new Thread(this::progress, name);
    thread.setDaemon(true);
  }

  void start() {
    thread.start();
  }

  /** Hands something to the owner. */
  void submit(Submission submission) {
    Submission head;
    do {
      head = submissions.get();
      submission.nextSubmission = head;
    } while (!submissions.compareAndSet(head, submission));
    if (tryOwn()) {
      callerDrive();
    } else if (blocked) {
      work.wakeup();
    } else if (ended) {
      executeAfterEnd();
    }
  }

  /**
   * Runs something as the owner and waits for its result, whatever interrupts.
   *
   * @throws RuntimeException what the action throws; errors come as the cause of one
   */
  <T> T call(Supplier<T> action) {
    Call<T> call = new Call<>(action);
    submit(call);
    awaitUninterrupted(call, false, 0);
    return call.result();
  }

  /**
   * Waits until the owner has executed all that was submitted before.
   *
   * @param deadline in {@link System#nanoTime}
   * @return false if the deadline came first
   */
  boolean catchUp(long deadline) throws InterruptedException {
    Call<Boolean> last = new Call<>(() -> true);
    submit(last);
    return await(last, true, deadline);
  }

  /**
   * Runs something as the owner, some time. If it throws, that ends the work as an exception of
   * {@link Work#drive} does.
   */
  void run(Runnable action) {
    submit(
        new Submission() {
          @Override
          void execute() {
            action.run();
          }
        });
  }

  /**
   * Drives once if nobody else does. A caller that polls again and again gets the token from the
   * progress thread, and keeps it as long as it goes on: two threads that hand work to each other
   * take more time, and two cores.
   */
  void poll() {
    if (tryOwn()) {
      callerDrive();
    } else if (owner.get() == thread && ++pollsInVain >= POLLS_IN_VAIN && !polled) {
      polled = true;
      if (blocked) {
        work.wakeup();
      }
    }
  }

  /**
   * Waits until something is over, driving if nobody else does.
   *
   * @param deadline in {@link System#nanoTime}
   * @return false if the deadline came first
   */
  boolean await(Awaited awaited, boolean bounded, long deadline) throws InterruptedException {
    if (awaited.isOver()) {
      return true;
    }
    Thread self = Thread.currentThread();
    awaited.waiter(self);
    callers.incrementAndGet();
    try {
      while (!awaited.isOver()) {
        if (Thread.interrupted()) {
          throw new InterruptedException();
        }
        long left = bounded ? deadline - System.nanoTime() : Long.MAX_VALUE;
        if (left <= 0) {
          return false;
        }
        if (tryOwn()) {
          try {
            driveFor(awaited, bounded, deadline);
          } finally {
            release();
          }
        } else {
          parkUntilChange(self, awaited, left);
        }
      }
      return true;
    } finally {
      awaited.waiter(null);
      boolean last = callers.decrementAndGet() == 0;
      if (last && standingAside) {
        LockSupport.unpark(thread);
      } else if (owner.get() == null) {
        parked.unparkOne();
      }
    }
  }

  /** As {@link #await}, whatever interrupts; the flag is kept. */
  boolean awaitUninterrupted(Awaited awaited, boolean bounded, long deadline) {
    boolean interrupted = false;
    try {
      while (true) {
        try {
          return await(awaited, bounded, deadline);
        } catch (InterruptedException e) {
          interrupted = true;
        }
      }
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  /** Takes the token for good, so that nobody drives any more; waits for the present owner. */
  void stop() {
    stopped = true;
    boolean interrupted = false;
    while (!owner.compareAndSet(null, Thread.currentThread())) {
      work.wakeup();
      LockSupport.unpark(thread);
      LockSupport.parkNanos(this, LEASE_NANOS);
      interrupted |= Thread.interrupted();
    }
    LockSupport.unpark(thread);
    while (thread.isAlive() && Thread.currentThread() != thread) {
      try {
        thread.join();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /**
   * Nothing will be driven any more: whatever is submitted from now on is executed by the
   * submitting thread. Only for who has stopped the loop.
   */
  void end() {
    ended = true;
    executeAfterEnd();
  }

  // There is no owner any more, so whoever submits late takes turns by a lock.
  private synchronized void executeAfterEnd() {
    executeSubmissions();
  }

  /**
   * Executes what was submitted; only for the owner.
   *
   * @throws RuntimeException if one of them threw; the others were executed all the same
   */
  boolean executeSubmissions() {
    Submission reversed = submissions.getAndSet(null);
    if (reversed == null) {
      return false;
    }
    Submission next = null;
    while (reversed != null) {
      Submission rest = reversed.nextSubmission;
      reversed.nextSubmission = next;
      next = reversed;
      reversed = rest;
    }
    Throwable failure = null;
    while (next != null) {
      Submission following = next.nextSubmission;
      next.nextSubmission = null;
      try {
        next.execute();
      } catch (RuntimeException | Error e) {
        failure = failure == null ? e : failure;
      }
      next = following;
    }
    if (failure != null) {
      throw new IllegalStateException("a submission failed: " + failure, failure);
    }
    return true;
  }

  private boolean tryOwn() {
    // Whoever waits for a stopped loop would only keep the token from who stops it.
    return !stopped && owner.get() == null && owner.compareAndSet(null, Thread.currentThread());
  }

  private void release() {
    // Who submitted while the token was held relied on its holder.
    do {
      owner.set(null);
    } while (submissions.get() != null && tryOwn() && drive(true));
    parked.unparkOne();
  }

  private void callerDrive() {
    try {
      countTurn();
      drive(false);
    } finally {
      release();
    }
  }

  private void countTurn() {
    // Only the owner writes it.
    callerTurns.lazySet(callerTurns.get() + 1);
  }

  /** Drives once. The result is {@code always} or whether there was anything to do. */
  private boolean drive(boolean always) {
    try {
      boolean moved = broken ? executeSubmissions() : work.drive();
      return moved || always;
    } catch (RuntimeException | Error e) {
      breakDown(e);
      return always;
    }
  }

  /** Never throws: whoever drives is some caller, and the token must be released. */
  private void breakDown(Throwable cause) {
    if (broken) {
      LOG.error("progress of the transport failed again", cause);
      return;
    }
    broken = true;
    LOG.error("progress of the transport failed; the engine can only be closed", cause);
    try {
      work.broken(cause);
    } catch (RuntimeException | Error e) {
      LOG.error("the failure could not be told to all", e);
    }
  }

  private void driveFor(Awaited awaited, boolean bounded, long deadline) {
    countTurn();
    long idleSince = 0;
    while (!awaited.isOver() && !Thread.currentThread().isInterrupted() && !stopped) {
      boolean moved = drive(false);
      // What a deadline ends is no progress, and yet may be what is waited for.
      if (awaited.isOver()) {
        return;
      }
      // Also where the work never ceases: others' transfers are no reason to wait for longer.
      long now = moved && !bounded ? 0 : System.nanoTime();
      if (bounded && deadline - now <= 0) {
        return;
      }
      if (moved) {
        idleSince = 0;
      } else if (idleSince == 0) {
        idleSince = now | 1;
      } else if (now - idleSince > SPIN_NANOS) {
        block(bounded ? deadline - now : Long.MAX_VALUE);
        idleSince = 0;
      } else {
        spinWait();
      }
    }
  }

  private void block(long nanos) {
    blocked = true;
    try {
      boolean wanted = Thread.currentThread() == thread && isWanted();
      if (submissions.get() != null || stopped || wanted) {
        return;
      }
      if (broken) {
        LockSupport.parkNanos(this, LEASE_NANOS);
      } else {
        work.block(nanos);
      }
    } catch (RuntimeException | Error e) {
      breakDown(e);
    } finally {
      blocked = false;
    }
  }

  private void parkUntilChange(Thread self, Awaited awaited, long nanos) {
    parked.add(self);
    try {
      if (blocked && owner.get() == thread) {
        // The progress thread sees that a caller is there, and leaves the token to it.
        work.wakeup();
      }
      if (!awaited.isOver() && owner.get() != null) {
        LockSupport.parkNanos(this, nanos);
      }
    } finally {
      parked.remove(self);
    }
  }

  private void progress() {
    long turnsSeen = 0;
    int leases = 0;
    while (!stopped) {
      // Nobody has a reason to interrupt this thread; with the flag set it would not sleep again.
      Thread.interrupted();
      long turns = callerTurns.get();
      leases = turns == turnsSeen ? leases + 1 : 0;
      if (callers.get() > 0 && leases > LEASES_BEFORE_STANDING_ASIDE) {
        standAside();
      } else if (callers.get() > 0 || turns != turnsSeen || !tryOwn()) {
        turnsSeen = turns;
        LockSupport.parkNanos(this, LEASE_NANOS);
      } else {
        try {
          driveAsProgressThread();
        } finally {
          release();
        }
        if (polled) {
          pollsInVain = 0;
          polled = false;
          LockSupport.parkNanos(this, LEASE_NANOS);
        }
      }
    }
  }

  /** Whether a caller waits for the token that the progress thread has. */
  private boolean isWanted() {
    return callers.get() > 0 || polled;
  }

  /** A caller drives for long: sleeps until it says that it has ended. */
  private void standAside() {
    standingAside = true;
    if (callers.get() > 0 && !stopped) {
      LockSupport.park(this);
    }
    standingAside = false;
  }

  private void driveAsProgressThread() {
    long idleSince = System.nanoTime();
    while (!stopped && !isWanted()) {
      if (drive(false)) {
        idleSince = System.nanoTime();
      } else if (System.nanoTime() - idleSince < SPIN_NANOS) {
        spinWait();
      } else {
        block(Long.MAX_VALUE);
        Thread.interrupted();
        idleSince = System.nanoTime();
      }
    }
  }

  /**
   * Leaves the core to whoever waits for it. That may be the very thread whose bytes are waited
   * for: the kernel likes to wake a thread on the core of the one that sent to it, and one that
   * merely spins keeps it away until it blocks.
   */
  private static void spinWait() {
    Thread.yield();
  }

  /** An action with a result. */
  private static final class Call<T> extends Submission implements Awaited {

    private final Supplier<T> action;
    private @Nullable T result;
    private @Nullable Throwable failure;
    private volatile boolean over;
    private volatile @Nullable Thread waiter;

    Call(Supplier<T> action) {
      this.action = action;
    }

    @Override
    void execute() {
      try {
        result = action.get();
      } catch (RuntimeException | Error e) {
        failure = e;
      }
      over = true;
      LockSupport.unpark(waiter);
    }

    T result() {
      if (failure instanceof RuntimeException thrown) {
        throw thrown;
      }
      if (failure != null) {
        throw new IllegalStateException("an action of the engine failed: " + failure, failure);
      }
      return Objects.requireNonNull(result);
    }

    @Override
    public boolean isOver() {
      return over;
    }

    @Override
    public void waiter(@Nullable Thread thread) {
      waiter = thread;
    }
  }

  /** Callers that wait while somebody else drives. Only they, and a release, take its lock. */
  private static final class ParkedCallers {

    private Thread[] threads = new Thread[8];
    private volatile int count;

    synchronized void add(Thread thread) {
      int at = count;
      if (at == threads.length) {
        threads = Arrays.copyOf(threads, 2 * at);
      }
      threads[at] = thread;
      count = at + 1;
    }

    synchronized void remove(Thread thread) {
      int last = count - 1;
      for (int i = 0; i <= last; i++) {
        if (threads[i] == thread) {
          threads[i] = threads[last];
          count = last;
          return;
        }
      }
    }

    void unparkOne() {
      if (count > 0) {
        synchronized (this) {
          if (count > 0) {
            LockSupport.unpark(threads[0]);
          }
        }
      }
    }
  }
}
