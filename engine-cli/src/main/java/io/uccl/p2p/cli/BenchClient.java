package io.uccl.p2p.cli;

import io.uccl.p2p.Connection;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.P2pEngine;
import io.uccl.p2p.cli.BenchMessage.Invitation;
import java.io.IOException;
import java.net.InetSocketAddress;
import org.HdrHistogram.Histogram;
import org.jspecify.annotations.Nullable;

/** The process that measures: goes through all rows with a server that it is connected to. */
final class BenchClient {

  private final Console console;
  private final BenchOptions options;
  private final P2pEngine engine;
  private final Connection server;

  BenchClient(Console console, BenchOptions options, P2pEngine engine, Connection server) {
    this.console = console;
    this.options = options;
    this.engine = engine;
    this.server = server;
  }

  /** Measures and reports every row, then tells the server that it is done. */
  void measure(Report report) throws IOException, InterruptedException {
    BenchLink link = new BenchLink(engine, server);
    long bytes = options.largestFootprint();
    link.send(BenchMessage.open(bytes));
    try (MemoryRegion local = BenchMemory.open(engine, bytes)) {
      FifoDescriptor remote = BenchMessage.descriptor(link.receive(BenchMessage.DESCRIPTOR));
      Invitation invitation = BenchMessage.limit(link.receive(BenchMessage.LIMIT));
      InetSocketAddress address =
          new InetSocketAddress(server.remote().address(), invitation.port());
      Footprint memory = Footprint.of(local);
      Checker checker = options.check ? new Checker(link, memory, options.mode) : null;
      try (RawCopy limit = RawCopy.connect(address, invitation.token(), memory)) {
        RowMeter meter = new RowMeter(options.pairs, options.seconds, options.iters);
        for (long size : options.sizes.bytes()) {
          for (int numIovs : options.numIovs.values()) {
            row(meter, new Shape(size, numIovs), local, remote, limit, checker, report);
          }
        }
      }
      if (checker != null) {
        console.say("checked " + checker.checkedBytes() + " bytes of the engine, none was wrong");
      }
    }
    report.end();
    link.finish();
  }

  private void row(
      RowMeter meter,
      Shape shape,
      MemoryRegion local,
      FifoDescriptor remote,
      RawCopy limit,
      @Nullable Checker checker,
      Report report)
      throws IOException, InterruptedException {
    boolean inParts = options.layout == BenchOptions.Layout.NIXLBENCH;
    Progress progress = new Progress(console);
    String what = shape.numIovs() + " x " + Sizes.label(shape.size());
    try (EngineCalls calls =
        new EngineCalls(
            server, local, remote, shape, options.mode, options.asyncApi, inParts, checker)) {
      progress.show(what + ": warming up");
      Side blocking = limit.side(shape, options.mode, Variant.BLOCKING);
      Side spinning = limit.side(shape, options.mode, Variant.SPINNING);
      meter.warmUp(calls, blocking, spinning);
      calls.forget();
      RowMeter.Measured measured =
          meter.measure(
              calls,
              blocking,
              spinning,
              pair -> progress.show(what + ": pair " + pair + " of " + options.pairs));
      progress.clear();
      report.row(row(shape, measured, calls.latencies()), calls);
    } finally {
      progress.clear();
    }
  }

  private Row row(Shape shape, RowMeter.Measured measured, Histogram nanos) {
    return Row.of(
        shape,
        measured.variant(),
        options.iters,
        measured.pairs(),
        nanos.getValueAtPercentile(50) / 1e3,
        nanos.getValueAtPercentile(99) / 1e3);
  }
}
